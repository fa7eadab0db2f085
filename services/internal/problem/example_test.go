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
	p := problem.New(http.StatusConflict, "insufficient_stock", "Only 3 of product 7 are available.").With("available", 3)
	body, err := json.MarshalIndent(p, "", "  ")
	fmt.Println(string(body), err)
	// Output:
	// {
	//   "type": "urn:ecommerce-stack:problem:insufficient_stock",
	//   "title": "Conflict",
	//   "status": 409,
	//   "detail": "Only 3 of product 7 are available.",
	//   "code": "insufficient_stock",
	//   "available": 3
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
