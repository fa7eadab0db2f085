package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
)

func ExampleNew() {
	p := problem.New(http.StatusUnsupportedMediaType, "", "Send JSON with Content-Type: application/json.")
	body, err := json.MarshalIndent(p, "", "  ")
	fmt.Println(string(body), err)
	// Output:
	// {
	//   "type": "urn:ecommerce-stack:problem:unsupported_media_type",
	//   "title": "Unsupported Media Type",
	//   "status": 415,
	//   "detail": "Send JSON with Content-Type: application/json.",
	//   "code": "unsupported_media_type"
	// } <nil>
}

// A handler returns any error. Clients get the details of a classified failure, and none
// of any other error.
func ExampleFrom() {
	for _, err := range []error{
		fmt.Errorf("read product: %w", failure.NotFound("product_not_found", "Product %d does not exist.", 7)),
		errors.New("dial tcp 10.0.0.1:3306: connection refused"),
	} {
		p := problem.From(err)
		fmt.Println(p.Status, p.Code)
	}
	// Output:
	// 404 product_not_found
	// 500 internal
}
