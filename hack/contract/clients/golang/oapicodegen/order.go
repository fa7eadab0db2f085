// Command oapicodegen places an order with the client that oapi-codegen generates, and prints its
// status, its total and the price in its timeline.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := order(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func order(ctx context.Context, address, managerEmail, managerPassword string) error {
	c, err := NewClientWithResponses(address)
	if err != nil {
		return err
	}
	manager, err := logIn(ctx, c, managerEmail, managerPassword)
	if err != nil {
		return err
	}
	quantity := int64(5)
	product := ProductBody{Name: "Desk", InitialQuantity: &quantity}
	if err := product.Price.FromProductBodyPrice1(1234567.89); err != nil {
		return err
	}
	created, err := c.CreateProductWithResponse(ctx, nil, product, manager)
	if err != nil {
		return err
	}
	if created.JSON201 == nil {
		return fmt.Errorf("create a product: %s %s", created.Status(), created.Body)
	}
	account := RegistrationRequestBody{Username: "Ada", Email: fmt.Sprintf("ada%d@example.com", created.JSON201.Id), Password: "correct horse battery"}
	registered, err := c.RegisterUserWithResponse(ctx, nil, account)
	if err != nil {
		return err
	}
	if registered.JSON201 == nil || registered.JSON201.Role != ClientRole {
		return fmt.Errorf("register: %s %s", registered.Status(), registered.Body)
	}
	client, err := logIn(ctx, c, account.Email, account.Password)
	if err != nil {
		return err
	}
	wait := "wait=30"
	placed, err := c.CreateSaleWithResponse(ctx, &CreateSaleParams{Prefer: &wait},
		CreateBody{Items: []LineBody{{ProductId: created.JSON201.Id, Quantity: 2}}}, client)
	if err != nil {
		return err
	}
	sale := placed.JSON201
	if sale == nil || sale.TotalAmount == nil {
		return fmt.Errorf("place an order: %s %s", placed.Status(), placed.Body)
	}
	timeline, err := c.ListSaleEventsWithResponse(ctx, sale.Id, nil, client)
	if err != nil {
		return err
	}
	if timeline.JSON200 == nil {
		return fmt.Errorf("read the timeline: %s %s", timeline.Status(), timeline.Body)
	}
	for _, entry := range timeline.JSON200.Items {
		v, err := entry.ValueByDiscriminator()
		if err != nil {
			return err
		}
		if reserved, ok := v.(SaleItemsReservedResponseEntry); ok {
			fmt.Println(sale.Status, *sale.TotalAmount, reserved.Data.ItemsReserved[0].Price)
		}
	}
	return nil
}

// logIn returns a function that adds the token of an account to a request.
func logIn(ctx context.Context, c *ClientWithResponses, email, password string) (RequestEditorFn, error) {
	session, err := c.LogInWithResponse(ctx, nil, LoginRequestBody{Email: email, Password: password})
	if err != nil {
		return nil, err
	}
	if session.JSON200 == nil {
		return nil, fmt.Errorf("log in: %s %s", session.Status(), session.Body)
	}
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+session.JSON200.AccessToken)
		return nil
	}, nil
}
