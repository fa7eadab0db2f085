package money_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"ecommerce-stack.dev/services/internal/money"
)

func ExampleAmount() {
	price := money.MustParse("19.99")
	total := price.Times(3).Add(money.MustParse("4.50"))
	body, err := json.Marshal(total)
	fmt.Println(total, string(body), err)
	// Output: 64.47 "64.47" <nil>
}

func ExampleParse() {
	for _, text := range []string{"19.9", "-5", "19.999", "1e3"} {
		amount, err := money.Parse(text)
		if errors.Is(err, money.ErrInvalid) {
			fmt.Println(text, "is invalid")
			continue
		}
		fmt.Println(text, "is", amount)
	}
	// Output:
	// 19.9 is 19.90
	// -5 is -5.00
	// 19.999 is invalid
	// 1e3 is invalid
}
