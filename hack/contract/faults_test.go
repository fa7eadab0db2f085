package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/services/event"
)

// faults implements contract.Faults for a local system.
type faults struct{ *local.System }

func (f faults) DisconnectDatabase()      { f.MySQLLink.Disconnect() }
func (f faults) ReconnectDatabase() error { return f.MySQLLink.Reconnect() }
func (f faults) DisconnectBroker()        { f.BrokerLink.Disconnect() }
func (f faults) ReconnectBroker() error   { return f.BrokerLink.Reconnect() }

func (f faults) StartService(name string) error { return f.Restart(context.Background(), name) }

// PublishInvalid publishes through the broker's management API.
func (f faults) PublishInvalid(ctx context.Context, message string) error {
	client, err := f.RabbitMQ.Info.Management()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"properties": map[string]any{}, "routing_key": event.SaleCreatedType, "payload_encoding": "string", "payload": message,
	})
	if err != nil {
		return err
	}
	url := client.Endpoint + "/api/exchanges/shop.demo/" + event.Exchange + "/publish"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(client.Username, client.Password)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("publish: %s", res.Status)
	}
	return nil
}
