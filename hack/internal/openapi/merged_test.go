package openapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// build builds the services, which are in another module, and returns the folder of
// the programs.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin+"/",
		"./services/auth", "./services/stock", "./services/sales", "./services/gateway")
	cmd.Dir, cmd.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the services: %v\n%s", err, out)
	}
	return bin
}

// merged returns the document that a gateway merges from the documents that the
// services print. This needs no database and no broker.
func merged(t *testing.T) []byte {
	t.Helper()
	bin := build(t)
	env := []string{"JWT_KEYS_FILE=" + filepath.Join(bin, "keys.json"), "JWT_ISSUER=i", "JWT_AUDIENCE=a", "METRICS_ADDR=127.0.0.1:0"}
	if err := os.WriteFile(filepath.Join(bin, "keys.json"), []byte(`{"keys":[{"kty":"oct","alg":"HS256","use":"sig","kid":"k",`+
		`"k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auth", "stock", "sales"} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), "openapi").Output()
		if err != nil {
			t.Fatalf("%s openapi: %v", name, err)
		}
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(out) }))
		t.Cleanup(service.Close)
		env = append(env, strings.ToUpper(name)+"_URL="+service.URL)
	}
	address := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	gateway := exec.CommandContext(ctx, filepath.Join(bin, "gateway"))
	gateway.Env = slices.Concat(env, []string{"HTTP_ADDR=" + address})
	gateway.Cancel = func() error { return gateway.Process.Signal(syscall.SIGTERM) }
	gateway.WaitDelay = 30 * time.Second
	var log strings.Builder
	gateway.Stdout, gateway.Stderr = &log, &log
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	body, err := fetch(t.Context(), "http://"+address+"/openapi.json")
	stop()
	_ = gateway.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return body
}

// fetch sends GET requests until the server accepts a connection.
func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return nil, fmt.Errorf("%s: %s", url, res.Status)
			}
			return io.ReadAll(res.Body)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", url, ctx.Err())
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// maxDocument is the size that pages and generators load without a delay.
const maxDocument = 200_000

func TestMergedDocumentHasNoFindings(t *testing.T) {
	t.Parallel()
	document := merged(t)
	findings, err := Lint(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
	if len(document) >= maxDocument {
		t.Errorf("the document has %d bytes, want less than %d", len(document), maxDocument)
	}
	if n := strings.Count(string(document), `"operationId"`); n < 30 {
		t.Errorf("the document has %d operations", n)
	}
	t.Run("clients", func(t *testing.T) { checkForClients(t, document) })
}

// checkForClients checks what client teams and generators rely on, beyond the rules of Lint.
func checkForClients(t *testing.T, document []byte) {
	t.Helper()
	var root object
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	d := spec{root}
	if strings.Contains(string(document), "patternDescription") {
		t.Error("the document has patternDescription, which no specification defines")
	}
	parameters := map[string]object{}
	for _, v := range list(d.target("#/paths/~1products/get")["parameters"]) {
		p := d.resolve(v.(object))
		parameters[text(p["name"])] = child(p, "schema")
	}
	property := func(schema, name string) object {
		return child(child(d.target("#/components/schemas/"+schema), "properties"), name)
	}
	const inputPrice = `^\d{1,7}(\.\d{1,2})?$`
	for what, c := range map[string]struct{ got, want any }{
		"the pattern of minPrice":        {parameters["minPrice"]["pattern"], inputPrice},
		"the pattern of maxPrice":        {parameters["maxPrice"]["pattern"], inputPrice},
		"the type of inStock":            {parameters["inStock"]["type"], "boolean"},
		"the values of inStock":          {parameters["inStock"]["enum"], nil},
		"the names of sort":              {parameters["sort"]["x-enum-varnames"], []any{"Id", "Name", "Price", "PriceDescending", "CreatedAtDescending"}},
		"the names of roles":             {property("User", "role")["x-enum-varnames"], []any{"ClientRole", "ManagerRole"}},
		"the price in a response":        {property("Product", "price")["pattern"], `^-?\d+\.\d{2}$`},
		"the price in a request":         {list(property("ProductBody", "price")["oneOf"])[0].(object)["pattern"], inputPrice},
		"the format of a price":          {list(property("ProductBody", "price")["oneOf"])[1].(object)["format"], "double"},
		"the reasons of a sale":          {property("SaleBody", "reason")["enum"], []any{"insufficient_stock", "unknown_product", "customer", "expired"}},
		"the discriminator of an entry":  {child(d.target("#/components/schemas/EntryBody"), "discriminator")["propertyName"], "type"},
		"additional fields of a request": {d.target("#/components/schemas/ProductBody")["additionalProperties"], false},
		"additional fields of a product": {d.target("#/components/schemas/Product")["additionalProperties"], nil},
		"additional fields of a page":    {d.target("#/components/schemas/ProductPage")["additionalProperties"], nil},
		"the license":                    {d.target("#/info/license")["identifier"], "MIT"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if contact := d.target("#/info/contact"); text(contact["name"]) == "" || text(contact["url"]) == "" {
		t.Errorf("the contact is %v", contact)
	}
	shared := 0
	for _, op := range d.operations() {
		responses := child(op.object, "responses")
		if text(child(responses, "default")["$ref"]) != "#/components/responses/Problem" {
			t.Errorf("%s: the default response is %v", op, responses["default"])
		}
		for status := range responses {
			if text(child(responses, status)["$ref"]) != "" {
				shared++
			}
		}
	}
	if n := len(d.operations()); shared < 4*n {
		t.Errorf("%d responses of %d operations are shared", shared, n)
	}
	stream := text(d.target("#/paths/~1sales~1{id}~1stream/get")["description"])
	for _, word := range []string{"`EventSource`", "await fetch(", "Authorization: `Bearer"} {
		if !strings.Contains(stream, word) {
			t.Errorf("the description of the stream does not mention %s", word)
		}
	}
}
