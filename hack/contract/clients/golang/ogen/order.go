// Command ogen places an order with the client that ogen generates, and prints its status, its total
// and the price in its timeline.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	if err := order(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// account is a source of the token of an account.
type account struct{ token string }

// Bearer implements SecuritySource.
func (a *account) Bearer(context.Context, OperationName) (Bearer, error) {
	return Bearer{Token: a.token}, nil
}

func (a *account) logIn(ctx context.Context, c *Client, email, password string) error {
	res, err := c.LogIn(ctx, &LoginRequestBody{Email: email, Password: password}, LogInParams{})
	if err != nil {
		return err
	}
	session, ok := res.(*SessionHeaders)
	if !ok {
		return fmt.Errorf("log in: %T %+v", res, res)
	}
	a.token = session.Response.AccessToken
	return nil
}

func order(ctx context.Context, address, managerEmail, managerPassword string) error {
	var a account
	c, err := NewClient(address, &a)
	if err != nil {
		return err
	}
	if err := a.logIn(ctx, c, managerEmail, managerPassword); err != nil {
		return err
	}
	res, err := c.CreateProduct(ctx, &ProductBody{Name: "Desk", InitialQuantity: NewOptInt64(5),
		Price: NewFloat64ProductBodyPrice(1234567.89)}, CreateProductParams{})
	if err != nil {
		return err
	}
	product, ok := res.(*CreateProductCreatedHeaders)
	if !ok {
		return fmt.Errorf("create a product: %T %+v", res, res)
	}
	registration := RegistrationRequestBody{Username: "Ada", Email: fmt.Sprintf("ada%d@example.com", product.Response.ID), Password: "correct horse battery"}
	if _, err := c.RegisterUser(ctx, &registration, RegisterUserParams{}); err != nil { // After a refusal, the login fails.
		return err
	}
	if err := a.logIn(ctx, c, registration.Email, registration.Password); err != nil {
		return err
	}
	placed, err := c.CreateSale(ctx, &CreateBody{Items: []LineBody{{ProductId: product.Response.ID, Quantity: 2}}},
		CreateSaleParams{Prefer: NewOptString("wait=30")})
	if err != nil {
		return err
	}
	created, ok := placed.(*CreateSaleCreated)
	if !ok {
		return fmt.Errorf("place an order: %T %+v", placed, placed)
	}
	sale := created.Response
	events, err := c.ListSaleEvents(ctx, ListSaleEventsParams{ID: sale.ID})
	if err != nil {
		return err
	}
	timeline, ok := events.(*EntryBodyPageHeaders)
	if !ok {
		return fmt.Errorf("read the timeline: %T %+v", events, events)
	}
	for _, entry := range timeline.Response.Items {
		if reserved, ok := entry.GetSaleItemsReservedResponseEntry(); ok {
			fmt.Println(sale.Status, sale.TotalAmount.Value, reserved.Data.ItemsReserved[0].Price)
		}
	}
	return nil
}
