package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// mayBeEmpty are the queries that return no data although the store is well, by dashboard,
// panel and legend, with the reason.
var mayBeEmpty = map[string]string{
	"ecommerce-mysql/How long do they wait?/{{pod}}":                           "transactions wait for a row only if orders of one product arrive at once",
	"ecommerce-operator/When do certificates expire?/{{namespace}}/{{secret}}": "the sample stack has no spec.gateway.tls",
	"ecommerce-operator/Which phases fail?/{{phase}}":                          "a series exists only after the operator got an error from an external server or the API server",
}

// TestPanelsShowData runs each query of each dashboard against a Prometheus that scraped the
// store during load and faults. The queries run over the time since the start of Prometheus,
// as in a panel of that range.
func TestPanelsShowData(t *testing.T) {
	s := newShop(t)
	began := startServers(t)
	// The operator corrects this drift, which it finds when it observes the broker, every minute.
	rabbitmqctl(t, "delete_queue", "--vhost", "shop.demo", "sales.stock-events.dead")
	s.useEveryPart(t)
	s.failEveryService(t)
	names := map[string]bool{}
	var empty map[string]string
	eventually(t, 2*time.Minute, func() (bool, any) {
		empty = map[string]string{}
		// The exporter of MySQL is optional. If it runs, its dashboard must have data.
		withoutMySQL := hasData(t, "mysql_up", began) != nil
		for _, q := range panelQueries(t) {
			if withoutMySQL && strings.HasPrefix(q.name, "ecommerce-mysql/") {
				continue
			}
			names[q.name] = true
			if err := hasData(t, q.expression, began); err != nil {
				empty[q.name] = fmt.Sprintf("%s: %s: %v", q.name, q.expression, err)
			}
		}
		for name := range mayBeEmpty {
			delete(empty, name)
		}
		return len(empty) == 0, "queries without data:\n" + strings.Join(slices.Sorted(maps.Values(empty)), "\n")
	})
	for name := range mayBeEmpty {
		if !names[name] {
			t.Errorf("mayBeEmpty lists %q, which no dashboard has", name)
		}
	}
	t.Logf("%d queries return data", len(names)-len(mayBeEmpty))
}

type panelQuery struct{ name, expression string }

// panelQueries returns the queries of config/grafana with the values of their variables.
func panelQueries(t *testing.T) []panelQuery {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "grafana", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	// $__rate_interval is at least four scrapes in Grafana.
	variables := strings.NewReplacer("$namespace", namespace, "$stack", stack, "$__rate_interval", "20s", "$__range", "5m")
	var queries []panelQuery
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			UID    string
			Panels []panelJSON
		}
		if err := json.Unmarshal(content, &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range allPanels(dashboard.Panels) {
			for _, target := range p.Targets {
				name := strings.TrimSuffix(dashboard.UID+"/"+p.Title+"/"+target.LegendFormat, "/")
				queries = append(queries, panelQuery{name, variables.Replace(target.Expr)})
			}
		}
	}
	return queries
}

// panelJSON is the part of a panel, or of a row of panels, that this test reads.
type panelJSON struct {
	Title   string
	Panels  []panelJSON
	Targets []struct{ Expr, LegendFormat string }
}

func allPanels(panels []panelJSON) []panelJSON {
	var all []panelJSON
	for _, p := range panels {
		all = append(append(all, p), allPanels(p.Panels)...)
	}
	return all
}

// hasData returns an error if the expression has no number since the time.
func hasData(t *testing.T, expression string, since time.Time) error {
	t.Helper()
	var response struct {
		Data struct {
			Result []struct {
				Values [][2]any
			}
		}
	}
	query := url.Values{"query": {expression}, "step": {"5"}, "start": {fmt.Sprint(since.Unix())}, "end": {fmt.Sprint(time.Now().Unix())}}
	if err := get(t, "prometheus", "/api/v1/query_range", query, &response); err != nil {
		return err
	}
	for _, series := range response.Data.Result {
		for _, value := range series.Values {
			if value[1] != "NaN" {
				return nil
			}
		}
	}
	return fmt.Errorf("%d series, no number", len(response.Data.Result))
}

// useEveryPart registers customers, places sales of every kind and reads, until each of them
// has happened between several scrapes.
func (s shop) useEveryPart(t *testing.T) {
	t.Helper()
	id := s.product(t, 5000)
	for range 3 {
		s = newShop(t)
		for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
			s.placeEveryKind(t, id)
			for _, path := range []string{"/products", fmt.Sprintf("/products/%d", id), "/auth/me", "/sales"} {
				if err := s.Do(t.Context(), s.customer, http.MethodGet, path, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// placeEveryKind places a sale that is confirmed, one that is rejected, and a held one each
// that is confirmed and canceled.
func (s shop) placeEveryKind(t *testing.T, product int64) {
	t.Helper()
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	s.awaitStatus(t, s.place(t, product, 5001), "Unauthorized")
	waiting := map[string]any{"items": []map[string]int64{{"productId": product, "quantity": 1}}}
	if err := s.Do(t.Context(), s.customer, http.MethodPost, "/sales", waiting, nil, "Prefer", "wait=10"); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(sale client.Sale) error{
		func(sale client.Sale) error { _, err := s.Confirm(t.Context(), s.customer, sale.ID); return err },
		func(sale client.Sale) error { return s.Cancel(t.Context(), s.customer, sale.ID) },
	} {
		sale, err := s.Place(t.Context(), s.customer, true, "", client.Item{ProductID: product, Quantity: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Await(t.Context(), s.customer, sale.ID, "reserved", func(now client.Sale) bool { return now.TotalAmount == "19.99" }); err != nil {
			t.Fatal(err)
		}
		if err := end(sale); err != nil {
			t.Fatal(err)
		}
	}
}

// failEveryService restarts the database, and calls each service until it has responded with
// 503 and then succeeded again.
func (s shop) failEveryService(t *testing.T) {
	t.Helper()
	mustKubectl(t, "-n", namespace, "delete", "pod/"+stack+"-mysql-0", "--wait=false")
	calls := map[string]client.User{"/auth/users": s.manager, "/sales": s.customer, "/stock/audit": s.manager}
	failed := map[string]bool{}
	eventually(t, 2*time.Minute, func() (bool, any) {
		succeeded := 0
		for path, user := range calls {
			err := s.Do(t.Context(), user, http.MethodGet, path, nil, nil)
			if isUnavailable(err) {
				failed[path] = true
			}
			if err == nil && failed[path] {
				succeeded++
			}
		}
		return succeeded == len(calls), failed
	})
	mustKubectl(t, "-n", namespace, "rollout", "status", "statefulset/"+stack+"-mysql", "--timeout=3m")
	waitUntilReady(t)
	id := s.product(t, 1)
	s.awaitStatus(t, s.place(t, id, 1), "Confirmed")
}
