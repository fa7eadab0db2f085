package openapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/internal/telemetry"
)

type box struct {
	Label string  `json:"label" maxLength:"10" doc:"What is in it" example:"plates"`
	Sizes []int64 `json:"sizes" doc:"Its sides" example:"[3,4]"`
	Open  bool    `json:"open,omitempty" doc:"Whether it is open" example:"true"`
	Kind  string  `json:"kind" enum:"small,large" doc:"How large it is"`
	Lids  []lid   `json:"lids" doc:"What closes it"`
}

type lid struct {
	Color string `json:"color" doc:"Its color" example:"red"`
}

type putBox struct {
	ID   int64 `path:"id" minimum:"1" doc:"Id of the box" example:"7"`
	Body box
}

type putBoxResponse struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of the box" example:"\"3\""`
	Body   box
}

// described returns the document of an API with one operation whose input is I.
func described[I any](t *testing.T, m openapi.Manual) []byte {
	t.Helper()
	srv := server.New(server.Options{Name: "test", Title: "Test", Health: health.New(), Verifier: authntest.New(t).Verifier(t),
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry("test")})
	op := authn.Require(huma.Operation{Method: "PUT", Path: "/boxes/{id}", OperationID: "put-box", Summary: "Put a box",
		Tags: []string{"boxes"}, Errors: []int{422, 503}}, authn.Manager)
	huma.Register(srv.API(), op, func(context.Context, *I) (*putBoxResponse, error) { return nil, nil })
	openapi.Describe(srv.API(), m)
	rec := httptest.NewRecorder()
	srv.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

var boxes = openapi.Manual{
	Text:      "For teams.\n\n# boxes\n\nTheir boxes.\n\n## put-box\n\nPuts a box.\n\nAnywhere.\n",
	Refusals:  map[string][]error{"put-box": {failure.Conflict("box_full", "The box is full.").With("free", 2)}},
	Responses: map[string]map[int]any{"put-box": {201: map[string]any{"label": "new", "sizes": []int{1}, "kind": "small", "lids": []any{}}}},
}

func TestExamplesAreMadeFromThoseOfFields(t *testing.T) {
	t.Parallel()
	document := described[putBox](t, boxes)
	gaps, err := servertest.Gaps(document)
	if err != nil || len(gaps) > 0 {
		t.Errorf("gaps: %q, %v", gaps, err)
	}
	var doc struct {
		Tags  []map[string]any
		Paths map[string]struct {
			Put struct {
				Description string
				Parameters  []struct{ Example any }
				RequestBody struct {
					Content map[string]struct{ Example any }
				}
				Responses map[string]struct {
					Description string
					Headers     map[string]any
					Content     map[string]struct {
						Example  any
						Examples map[string]struct{ Value map[string]any }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	put := doc.Paths["/boxes/{id}"].Put
	want := map[string]any{"label": "plates", "sizes": []any{3.0, 4.0}, "open": true, "kind": "small", "lids": []any{map[string]any{"color": "red"}}}
	if diff := cmp.Diff(want, put.RequestBody.Content["application/json"].Example); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, put.Responses["200"].Content["application/json"].Example); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if put.Description != "Puts a box.\n\nAnywhere." || put.Parameters[0].Example != 7.0 {
		t.Errorf("description %q, parameters %v", put.Description, put.Parameters)
	}
	if created := put.Responses["201"]; created.Content["application/json"].Example.(map[string]any)["label"] != "new" || created.Headers["ETag"] == nil {
		t.Errorf("201: %v", created)
	}
	full := put.Responses["409"].Content["application/problem+json"].Examples["box_full"].Value
	if full["free"] != 2.0 || full["instance"] != "/boxes/7" || full["detail"] != "The box is full." {
		t.Errorf("409: %v", full)
	}
	invalid := put.Responses["422"].Content["application/problem+json"].Examples["invalid_request"].Value
	if diff := cmp.Diff([]any{map[string]any{"location": "body.kind", "message": "is required"}}, invalid["errors"]); diff != "" {
		t.Errorf("422 (-want +got):\n%s", diff)
	}
	for status, header := range map[string]string{"401": "WWW-Authenticate", "503": "Retry-After", "200": "X-Request-Id", "409": "Traceparent"} {
		if put.Responses[status].Headers[header] == nil {
			t.Errorf("%s lacks %s", status, header)
		}
	}
	for _, status := range []string{"400", "403", "408", "413", "415", "500"} {
		if put.Responses[status].Content["application/problem+json"].Examples == nil {
			t.Errorf("%s is not documented", status)
		}
	}
}

func TestGapsInDocumentAreFound(t *testing.T) {
	t.Parallel()
	gaps := func(document []byte) string {
		found, err := servertest.Gaps(document)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(found, "\n")
	}
	noExample := gaps(described[struct {
		ID   int64 `path:"id" doc:"Id of the box" example:"7"`
		Body struct {
			Label string `json:"label" doc:"What is in it"`
		}
	}](t, boxes))
	noDescription := gaps(described[struct {
		ID   int64 `path:"id" example:"7"`
		Body box
	}](t, boxes))
	noManual := gaps(described[putBox](t, openapi.Manual{}))
	wrongExample := gaps(described[putBox](t, openapi.Manual{Text: boxes.Text,
		Responses: map[string]map[int]any{"put-box": {200: map[string]any{"label": 7}}}}))
	for want, got := range map[string]string{
		"properties/label: no example": noExample, "parameters/0: no description (id)": noDescription,
		"put: no description": noManual, "tag boxes has no description": noManual, "the example does not match the schema": wrongExample,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("gaps lack %q:\n%s", want, got)
		}
	}
}

func TestManualOfUnknownOperationPanics(t *testing.T) {
	t.Parallel()
	for what, m := range map[string]openapi.Manual{
		"text": {Text: "## get-box\n\nGets a box."}, "refusals": {Refusals: map[string][]error{"get-box": nil}},
		"responses": {Responses: map[string]map[int]any{"get-box": nil}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("the %s of an unknown operation were accepted", what)
				}
			}()
			described[putBox](t, m)
		}()
	}
}
