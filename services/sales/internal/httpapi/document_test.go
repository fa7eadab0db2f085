package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/httpapi"
)

// documentHandler returns the handler of the service without dependencies, which serves the document.
func documentHandler(t *testing.T) http.Handler {
	srv := server.New(server.Options{Name: "sales", Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry("sales"),
		Health: health.New(), Verifier: authntest.New(t).Verifier(t)})
	api := httpapi.API{}
	api.Register(srv.API())
	return srv.Handler()
}

func TestDocumentIsComplete(t *testing.T) {
	t.Parallel()
	servertest.CheckDocument(t, documentHandler(t))
}

// dataByType has the data of an entry of each type, as clients receive it.
var dataByType = map[string]string{
	"SaleCreated":               `{"saleId":1,"customerId":2,"items":[{"productId":3,"quantity":4}]}`,
	"SaleItemsReservedResponse": `{"saleId":1,"customerId":2,"itemsReserved":[{"productId":3,"quantity":4,"price":"19.9"}]}`,
	"SaleCreationFailed":        `{"saleId":1,"customerId":2,"reason":"unknown_product","shortages":[{"productId":3,"requested":4,"available":0}]}`,
	"SaleConfirmed":             `{"saleId":1,"items":[{"productId":3,"quantity":4}]}`,
	"SaleCanceled":              `{"saleId":1,"reason":"customer"}`,
	"StockReleased":             `{"saleId":1,"items":[{"productId":3,"quantity":4}],"releasedAt":"2026-11-22T10:15:30Z"}`,
	"StockCanceled":             `{"saleId":1,"items":[]}`,
}

func TestTypeOfEntryDecidesItsData(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	documentHandler(t).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("memory:///openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("memory:///openapi.json#/components/schemas/EntryBody")
	if err != nil {
		t.Fatal(err)
	}
	check := func(kind, data string) error {
		entry, err := jsonschema.UnmarshalJSON(bytes.NewReader(fmt.Appendf(nil, `{"id":900,"type":%q,"at":"2026-11-22T10:15:30Z","data":%s}`, kind, data)))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(entry)
	}
	for kind, data := range dataByType {
		if err := check(kind, data); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for _, wrong := range []string{`{}`, `{"saleId":"1"}`, `"text"`, `{"saleId":1}`, `null`} {
			if check(kind, wrong) == nil {
				t.Errorf("%s may have the data %s", kind, wrong)
			}
		}
	}
	if check("Refunded", dataByType["SaleConfirmed"]) == nil {
		t.Error("an entry may have an unknown type")
	}
	var union struct {
		Components struct {
			Schemas struct {
				EntryBody struct {
					Discriminator struct {
						PropertyName string
						Mapping      map[string]string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &union); err != nil {
		t.Fatal(err)
	}
	by := union.Components.Schemas.EntryBody.Discriminator
	if diff := cmp.Diff(slices.Sorted(maps.Keys(dataByType)), slices.Sorted(maps.Keys(by.Mapping))); diff != "" || by.PropertyName != "type" {
		t.Errorf("types by %q (-want +got):\n%s", by.PropertyName, diff)
	}
}
