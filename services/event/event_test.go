package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

var at = time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)

// samples has one event of every type; its golden file is named after the type.
func samples() []event.Data {
	items := []event.Item{{ProductID: 7, Quantity: 2}, {ProductID: 9, Quantity: 1}}
	return []event.Data{
		event.SaleCreated{SaleID: 42, CustomerID: 5, Items: items},
		event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5, ItemsReserved: []event.PricedItem{
			{ProductID: 7, Quantity: 2, Price: decimal.RequireFromString("19.99")}}},
		event.SaleCreationFailed{SaleID: 42, CustomerID: 5, Reason: event.ReasonInsufficientStock,
			Shortages: []event.Shortage{{ProductID: 7, Requested: 2, Available: 1}}},
		event.SaleConfirmed{SaleID: 42, Items: items},
		event.SaleCanceled{SaleID: 42, Reason: event.ReasonExpired},
		event.StockReleased{SaleID: 42, Items: items, ReleasedAt: at},
		event.StockCanceled{SaleID: 42, Items: items},
		event.ProductChanged{ProductID: 7, Deleted: true},
	}
}

func TestWireFormatMatchesGoldenFiles(t *testing.T) {
	t.Parallel()
	for _, data := range samples() {
		t.Run(data.EventType(), func(t *testing.T) {
			t.Parallel()
			e, err := event.New("sales", data, at, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			if err != nil {
				t.Fatal(err)
			}
			e.ID = uuid.MustParse("019b0000-0000-7000-8000-000000000001")
			got, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", data.EventType()+".json")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, got) {
				t.Errorf("wire format changed (-want +got):\n%s", cmp.Diff(string(want), string(got)))
			}
		})
	}
}

func TestParseAndDecodeReturnEncodedEvent(t *testing.T) {
	t.Parallel()
	sent := event.SaleCreated{SaleID: 42, CustomerID: 5, Items: []event.Item{{ProductID: 7, Quantity: 2}}}
	e, err := event.New("sales", sent, at, "")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := event.Parse(bytes.Replace(body, []byte(`"saleId"`), []byte(`"unknown":{"a":[1]},"saleId"`), 1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.Decode[event.SaleCreated](parsed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("decoded data (-want +got):\n%s", diff)
	}
}

func TestParseAndDecodeRejectInvalidEvents(t *testing.T) {
	t.Parallel()
	valid := `{"specversion":"1.0","id":"019b0000-0000-7000-8000-000000000001","type":"SaleCanceled",` +
		`"subject":"42","dataversion":"1","data":{"saleId":42,"reason":"customer"}}`
	if _, err := event.Parse([]byte(valid)); err != nil {
		t.Fatalf("valid envelope rejected: %v", err)
	}
	cases := map[string]string{
		"not JSON":        `{`,
		"not an object":   `[]`,
		"foreign spec":    replace(valid, `"specversion":"1.0"`, `"specversion":"2.0"`),
		"later version":   replace(valid, `"dataversion":"1"`, `"dataversion":"2"`),
		"no version":      replace(valid, `"dataversion":"1",`, ``),
		"no id":           replace(valid, `"id":"019b0000-0000-7000-8000-000000000001",`, ``),
		"malformed id":    replace(valid, `019b0000-0000-7000-8000-000000000001`, `x`),
		"no type":         replace(valid, `"type":"SaleCanceled",`, ``),
		"larger than max": `{"pad":"` + string(bytes.Repeat([]byte("x"), event.MaxBytes)) + `"}`,
	}
	for name, body := range cases {
		if _, err := event.Parse([]byte(body)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: got error %v, want ErrInvalid", name, err)
		}
	}
	for name, body := range map[string]string{
		"data of another sale":  replace(valid, `"subject":"42"`, `"subject":"43"`),
		"another type":          replace(valid, `"type":"SaleCanceled"`, `"type":"SaleCreated"`),
		"data is not an object": replace(valid, `{"saleId":42,"reason":"customer"}`, `7`),
	} {
		e, err := event.Parse([]byte(body))
		if err != nil {
			t.Errorf("%s: Parse: %v", name, err)
		}
		if _, err := event.Decode[event.SaleCanceled](e); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: got error %v, want ErrInvalid", name, err)
		}
	}
}

func TestDecodeRejectsNumbersOutOfRange(t *testing.T) {
	t.Parallel()
	envelope := func(kind, data string) event.Envelope {
		return event.Envelope{Type: kind, Subject: "1", Data: json.RawMessage(data)}
	}
	for _, items := range []string{`{"productId":1,"quantity":0}`, `{"productId":1,"quantity":-1}`, `{"productId":0,"quantity":1}`} {
		for kind, err := range map[string]error{
			event.SaleCreatedType:   decodeError[event.SaleCreated](envelope(event.SaleCreatedType, `{"saleId":1,"items":[`+items+`]}`)),
			event.SaleConfirmedType: decodeError[event.SaleConfirmed](envelope(event.SaleConfirmedType, `{"saleId":1,"items":[`+items+`]}`)),
		} {
			if !errors.Is(err, event.ErrInvalid) {
				t.Errorf("%s of %s: %v, want ErrInvalid", kind, items, err)
			}
		}
	}
	for price, valid := range map[string]bool{
		"19.99": true, "0": true, "-1": false, "1.999": false, "1e500000000": false, "1e-500000000": false, "123456789012345678901": false,
	} {
		err := decodeError[event.SaleItemsReservedResponse](envelope(event.SaleItemsReservedResponseType,
			`{"saleId":1,"itemsReserved":[{"productId":1,"quantity":1,"price":"`+price+`"}]}`))
		if valid != (err == nil) || err != nil && !errors.Is(err, event.ErrInvalid) {
			t.Errorf("price %s: %v, want it valid: %v", price, err, valid)
		}
	}
}

func decodeError[T event.Data](e event.Envelope) error {
	_, err := event.Decode[T](e)
	return err
}

func TestEachEventHasExactlyOnePublisher(t *testing.T) {
	t.Parallel()
	for _, data := range samples() {
		var publishers []string
		for service, p := range event.Permissions {
			if regexp.MustCompile(p.TopicWrite).MatchString(data.EventType()) {
				publishers = append(publishers, service)
			}
		}
		if len(publishers) != 1 {
			t.Errorf("%s may be published by %v, want exactly one service", data.EventType(), publishers)
		}
		if routed := event.IsRouted(data.EventType()); routed != (data.EventType() != event.ProductChangedType) {
			t.Errorf("IsRouted(%s) = %v", data.EventType(), routed)
		}
	}
}

func TestServicesConsumeOnlyTheirQueues(t *testing.T) {
	t.Parallel()
	readers := map[string][]string{}
	for _, q := range event.Queues {
		for service, p := range event.Permissions {
			for _, name := range []string{q.Name, q.DeadLetterQueue()} {
				if regexp.MustCompile(p.Read).MatchString(name) {
					readers[name] = append(readers[name], service)
				}
			}
		}
	}
	want := map[string][]string{event.StockQueue: {"stock"}, event.SalesQueue: {"sales"},
		event.StockQueue + event.DeadLetterSuffix: {"sales"}, event.SalesQueue + event.DeadLetterSuffix: {"sales"}}
	if diff := cmp.Diff(want, readers); diff != "" {
		t.Errorf("readers of each queue (-want +got):\n%s", diff)
	}
	for _, q := range event.Queues {
		policies := q.Policies()
		if limit, _ := policies[1].Definition["delivery-limit"].(int64); limit < 1e6 {
			t.Errorf("%s drops a message after %d deliveries", q.DeadLetterQueue(), limit)
		}
		for i, queue := range []struct {
			name      string
			arguments map[string]any
		}{{q.Name, q.Arguments()}, {q.DeadLetterQueue(), q.DeadLetterArguments()}} {
			for _, other := range event.Queues {
				for _, name := range []string{other.Name, other.DeadLetterQueue(), other.Name + "x"} {
					if matches := regexp.MustCompile(policies[i].Pattern).MatchString(name); matches != (name == queue.name) {
						t.Errorf("the policy %s matches %s: %t", policies[i].Name, name, matches)
					}
				}
			}
			for key := range policies[i].Definition {
				if _, fixed := queue.arguments["x-"+key]; fixed {
					t.Errorf("%s: %s is an argument, which takes precedence over the policy", queue.name, key)
				}
			}
		}
	}
	if slices.ContainsFunc(event.Queues, func(q event.Queue) bool { return q.Arguments()["x-queue-type"] != "quorum" }) {
		t.Error("a queue is not a quorum queue")
	}
}

func replace(s, old, new string) string {
	return string(bytes.Replace([]byte(s), []byte(old), []byte(new), 1))
}
