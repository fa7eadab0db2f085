package contract_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/workspace"
	"ecommerce-stack.dev/hack/testenv"
)

// maxSeries bounds the series of a service.
const maxSeries = 3000

// TestMetricsAreBounded sends requests whose parts all contain a marker. No label may
// contain it, because clients could then create series without a limit. The metrics also
// follow Prometheus' conventions and are documented.
func TestMetricsAreBounded(t *testing.T) {
	s := startSystem(t)
	api := &client.Client{URL: s.URL}
	manager, err := api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	marker := fmt.Sprint(time.Now().UnixNano())
	for _, base := range []string{s.URL, s.ServiceURL("auth"), s.ServiceURL("sales"), s.ServiceURL("stock")} {
		for _, r := range []struct{ method, path string }{
			{"GET", "/products/" + marker}, {"GET", "/sales/" + marker}, {"GET", "/" + marker}, {"X" + marker, "/products"},
			{"GET", "/products?search=" + marker}, {"POST", "/auth/login"},
		} {
			err := (&client.Client{URL: base}).Do(t.Context(), manager, r.method, r.path,
				map[string]string{"email": "a" + marker + "@example.com", "password": marker}, nil, "X-Request-Id", marker)
			if _, ok := errors.AsType[*client.Problem](err); err != nil && !ok {
				t.Fatal(err)
			}
		}
	}
	if err := api.Do(t.Context(), manager, http.MethodGet, "/products", nil, nil, "Prefer", "wait=1"); err != nil { // is a long request
		t.Fatal(err)
	}
	documented, err := os.ReadFile(filepath.Join("..", "..", "docs", "contracts.md"))
	if err != nil {
		t.Fatal(err)
	}
	built := builtFrom(t)
	exported := map[string]bool{}
	for _, service := range []string{"auth", "gateway", "sales", "stock"} {
		body := scrape(t, s.MetricsURL(service)+"/metrics")
		problems, err := promlint.New(bytes.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", service, p.Metric, p.Text)
		}
		for _, label := range []string{`version="` + built.Version + `"`, `commit="` + built.Commit + `"`} {
			if !bytes.Contains(body, []byte(label)) {
				t.Errorf("%s: build_info does not have %s", service, label)
			}
		}
		series := 0
		for name, family := range parse(t, body) {
			exported[name] = true
			series += len(family.GetMetric())
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !bytes.Contains(documented, []byte("`"+name+"`")) {
				t.Errorf("%s: docs/contracts.md does not list %s", service, name)
			}
			for _, m := range family.GetMetric() {
				if label := labelWith(m, marker); label != "" {
					t.Errorf("%s: the label %s of %s contains a part of a request", service, label, name)
				}
			}
		}
		if series == 0 || series > maxSeries {
			t.Errorf("%s has %d series, want 1 to %d", service, series, maxSeries)
		}
	}
	for _, name := range documentedMetrics(string(documented)) {
		if !exported[name] {
			t.Errorf("docs/contracts.md lists %s, which no service exports before its first change", name)
		}
	}
}

// TestWaitsAndStreamsAreNotOrdinaryRequests places an order with Prefer: wait and reads its
// stream. Both are long requests at the gateway and at sales.
func TestWaitsAndStreamsAreNotOrdinaryRequests(t *testing.T) {
	s := startSystem(t)
	const ordinary, long = "http_request_duration_seconds", "http_long_request_duration_seconds"
	count := func(service, name, route string) (n uint64) {
		family := parse(t, scrape(t, s.MetricsURL(service)+"/metrics"))[name]
		for _, m := range family.GetMetric() {
			if slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "route" && l.GetValue() == route }) {
				n += m.GetHistogram().GetSampleCount()
			}
		}
		return n
	}
	type key struct{ service, name, route string }
	counts := func() map[key]uint64 {
		all := map[key]uint64{}
		for _, service := range []string{"gateway", "sales"} {
			for _, name := range []string{ordinary, long} {
				for _, route := range []string{"/sales", "/sales/{id}/stream"} {
					all[key{service, name, route}] = count(service, name, route)
				}
			}
		}
		return all
	}
	before := counts()
	sendLongRequests(t, s.URL)
	for k, n := range before {
		want := n
		if k.name == long {
			want++
		}
		testenv.Eventually(t, fmt.Sprintf("%s of %s at %s has %d observations", k.name, k.route, k.service, want), func() bool {
			return count(k.service, k.name, k.route) == want
		})
	}
}

// sendLongRequests places an order with Prefer: wait, and reads its stream.
func sendLongRequests(t *testing.T, gateway string) {
	t.Helper()
	api := &client.Client{URL: gateway}
	customer, err := api.Register(t.Context(), "ann", rand.Text()+"@example.com", rand.Text())
	if err != nil {
		t.Fatal(err)
	}
	var placed client.Sale
	order := map[string]any{"items": []client.Item{{ProductID: 1 << 40, Quantity: 1}}}
	if err := api.Do(t.Context(), customer, http.MethodPost, "/sales", order, &placed, "Prefer", "wait=10"); err != nil {
		t.Fatal(err)
	}
	if err := api.Do(t.Context(), customer, http.MethodGet, fmt.Sprintf("/sales/%d/stream", placed.ID), nil, nil); err != nil {
		t.Fatal(err)
	}
}

// TestDashboardsShowExportedMetrics looks for each metric of a service that a dashboard of
// config/grafana shows in a scrape of the running system.
func TestDashboardsShowExportedMetrics(t *testing.T) {
	s := startSystem(t)
	sendLongRequests(t, s.URL)
	exported := map[string]bool{}
	for _, service := range []string{"auth", "gateway", "sales", "stock"} {
		for name := range parse(t, scrape(t, s.MetricsURL(service)+"/metrics")) {
			exported[name] = true
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "grafana", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	metricNames := regexp.MustCompile(`\b(?:auth|build|ecommerce|gateway|go|http|process)_[a-z_]+`)
	shown := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range regexp.MustCompile(`"expr": "(.*)"`).FindAllSubmatch(content, -1) {
			for _, name := range metricNames.FindAllString(string(expression[1]), -1) {
				if strings.HasPrefix(name, "ecommerce_operator_") || strings.HasPrefix(name, "ecommerce_stack_") {
					continue // The operator does not run here.
				}
				shown++
				base := regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
				if !exported[name] && !exported[base] {
					t.Errorf("%s shows %s, which no service exports", filepath.Base(file), name)
				}
			}
		}
	}
	if shown == 0 {
		t.Error("no dashboard shows a metric of a service")
	}
}

// builtFrom returns the revision of the services.
func builtFrom(t *testing.T) revision.Revision {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := revision.Sources("go", filepath.Join(root, "services"), "./auth", "./stock", "./sales", "./gateway")
	if err != nil {
		t.Fatal(err)
	}
	r, err := revision.Of(root, files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// documentedMetrics returns the names in the first column of the tables of a document that
// are those of metrics, without patterns.
func documentedMetrics(document string) []string {
	_, section, _ := strings.Cut(document, "## Logs and metrics of the services")
	section, _, _ = strings.Cut(section, "\n## ")
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			names = append(names, name[1])
		}
	}
	return names
}

// labelWith returns the name of a label whose value contains text, or "".
func labelWith(m *dto.Metric, text string) string {
	for _, l := range m.GetLabel() {
		if strings.Contains(l.GetValue(), text) {
			return l.GetName()
		}
	}
	return ""
}

// parse returns the metrics of a scrape by name.
func parse(t *testing.T, body []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func scrape(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape %s: %s, %v", url, resp.Status, err)
	}
	return body
}
