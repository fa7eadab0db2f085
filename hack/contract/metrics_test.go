package contract_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ecommerce-stack.dev/hack/internal/store"
)

// maxSeries bounds the series of a service.
const maxSeries = 3000

// TestMetricsAreBounded sends requests whose parts all contain a marker. No label may
// contain it, because clients could then create series without a limit. The metrics also
// follow Prometheus' conventions.
func TestMetricsAreBounded(t *testing.T) {
	s := startSystem(t)
	at := &store.Store{URL: s.URL}
	manager, err := at.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	marker := fmt.Sprint(time.Now().UnixNano())
	for _, base := range []string{s.URL, s.ServiceURL("auth"), s.ServiceURL("sales"), s.ServiceURL("stock")} {
		for _, r := range []struct{ method, path string }{
			{"GET", "/products/" + marker}, {"GET", "/sales/" + marker}, {"GET", "/" + marker}, {"X" + marker, "/products"},
			{"GET", "/products?search=" + marker}, {"POST", "/auth/login"},
		} {
			err := (&store.Store{URL: base}).Do(t.Context(), manager, r.method, r.path,
				map[string]string{"email": "a" + marker + "@example.com", "password": marker}, nil, "X-Request-Id", marker)
			if _, ok := errors.AsType[*store.Problem](err); err != nil && !ok {
				t.Fatal(err)
			}
		}
	}
	for _, service := range []string{"auth", "gateway", "sales", "stock"} {
		body := scrape(t, s.MetricsURL(service)+"/metrics")
		problems, err := promlint.New(bytes.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", service, p.Metric, p.Text)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		series := 0
		for name, family := range families {
			series += len(family.GetMetric())
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
