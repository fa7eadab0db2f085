package openapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/internal/openapi"
)

type parcel struct {
	Label string `json:"label" pattern:"^a" patternDescription:"begins with a"`
}

type parcelQuery struct {
	Sort  string `query:"sort" enum:"id,price,-price"`
	Heavy string `query:"heavy" enum:"true,false"`
	Body  parcel
}

type sealedParcel struct {
	Label  string `json:"label"`
	Sealed bool   `json:"sealed"`
	Owner  string `json:"owner" enum:"Client,Parcel"`
	State  string `json:"state" enum:"lost,found"`
}

type parcelResponse struct{ Body sealedParcel }

func TestDocumentIsForGeneratedClients(t *testing.T) {
	t.Parallel()
	config := huma.Config{OpenAPI: openapi.New("Parcels", func(*huma.OpenAPI, *huma.Operation) {}), Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat}}
	api := huma.NewAPI(config, humachi.NewAdapter(chi.NewMux()))
	huma.Register(api, huma.Operation{Method: http.MethodPut, Path: "/parcels", OperationID: "put"},
		func(context.Context, *parcelQuery) (*parcelResponse, error) { return nil, nil })
	body, err := openapi.Render(api)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "patternDescription") {
		t.Error("the document has patternDescription")
	}
	var doc object
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	if got := at(t, doc, "components", "schemas", "Parcel", "additionalProperties"); got != false {
		t.Errorf("additionalProperties of a request: %v, want false", got)
	}
	if got := at(t, doc, "components", "schemas", "SealedParcel", "additionalProperties"); got != nil {
		t.Errorf("additionalProperties of a response: %v, want none, so that fields can be added", got)
	}
	parameters := at(t, doc, "paths", "/parcels", "put", "parameters").([]any)
	sort, heavy := parameters[0].(object)["schema"].(object), parameters[1].(object)["schema"].(object)
	if diff := cmp.Diff([]any{"Id", "Price", "PriceDescending"}, sort["x-enum-varnames"]); diff != "" {
		t.Errorf("names of values (-want +got):\n%s", diff)
	}
	sealed := at(t, doc, "components", "schemas", "SealedParcel", "properties").(object)
	if diff := cmp.Diff([]any{"ClientOwner", "ParcelOwner"}, at(t, sealed, "owner", "x-enum-varnames")); diff != "" {
		t.Errorf("names of values that are names of schemas (-want +got):\n%s", diff)
	}
	if names := at(t, sealed, "state", "x-enum-varnames"); names != nil {
		t.Errorf("names of values without a collision: %v", names)
	}
	if heavy["type"] != "boolean" || heavy["enum"] != nil {
		t.Errorf("a parameter that is true or false: %v", heavy)
	}
	if doc["info"].(object)["contact"] == nil {
		t.Error("no contact")
	}
}
