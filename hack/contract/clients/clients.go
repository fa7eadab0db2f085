// Package clients tests the OpenAPI document with the tools that teams of clients use: linters, and
// clients that are generated from it and place an order.
package clients
