package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/brianvoe/gofakeit/v7"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/progress"
)

const (
	// stock is the initial quantity of each product.
	stock = 1_000_000
	// requestTimeout and maxInProgress bound one request, and all that are in progress.
	requestTimeout = 15 * time.Second
	maxInProgress  = 2000
	// settleTime bounds the time in which the last orders are decided.
	settleTime = 30 * time.Second
	// refreshes is how often the live line changes in a second.
	refreshes = 4
)

// report has what is known about the requests that have ended.
type report struct {
	all    vegeta.LatencyMetrics
	byKind map[kind]*vegeta.Metrics
	codes  map[string]int
	ended  int
	sales  map[int64]kind // that were accepted
}

func (r *report) add(what kind, created int64, result *vegeta.Result) {
	r.ended++
	r.all.Add(result.Latency)
	if r.byKind[what] == nil {
		r.byKind[what] = new(vegeta.Metrics)
	}
	r.byKind[what].Add(result)
	code := strconv.Itoa(int(result.Code))
	if result.Code == 0 {
		code = "no response"
	}
	r.codes[code]++
	if created != 0 {
		r.sales[created] = what
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	p := progress.New(os.Stderr)
	var s *shop
	err := p.Run("Create products and register shoppers", func(detail func(string)) (err error) {
		s, err = prepare(ctx, o, detail)
		return err
	})
	if err != nil {
		return err
	}
	r := report{byKind: map[kind]*vegeta.Metrics{}, codes: map[string]int{}, sales: map[int64]kind{}}
	err = p.Run(fmt.Sprintf("Send %d requests/s for %s with seed %d", o.Rate, o.Duration, o.Seed), func(detail func(string)) error {
		return attack(ctx, o, s, &r, detail)
	})
	if err != nil {
		return err
	}
	var statuses map[string]int
	err = p.Run("Wait for the decisions", func(detail func(string)) (err error) {
		statuses, err = settle(ctx, o, s, r.sales, detail)
		return err
	})
	r.print(out, statuses)
	return err
}

// prepare creates the products, and registers the shoppers.
func prepare(ctx context.Context, o options, detail func(string)) (*shop, error) {
	api := &client.Client{URL: o.URL}
	user, _, err := o.Login(ctx, api)
	if err != nil {
		return nil, err
	}
	names := gofakeit.New(o.Seed)
	var products []int64
	var words []string
	for n := range o.Products {
		detail(fmt.Sprintf("product %d of %d", n+1, o.Products))
		name := names.ProductName()
		p, err := api.AddProduct(ctx, user, client.Product{Name: name, Price: fmt.Sprintf("%.2f", names.Price(5, 500)), Quantity: stock})
		if err != nil {
			return nil, fmt.Errorf("create product %d: %w", n+1, err)
		}
		products, words = append(products, p.ID), append(words, strings.Fields(name)[0])
	}
	var shoppers []client.User
	for n := range o.Shoppers {
		detail(fmt.Sprintf("shopper %d of %d", n+1, o.Shoppers))
		email := "load-" + strings.ToLower(rand.Text()) + "@example.com"
		u, err := api.Register(ctx, fmt.Sprintf("shopper%d", n+1), email, rand.Text())
		if err != nil {
			return nil, fmt.Errorf("register shopper %d: %w", n+1, err)
		}
		shoppers = append(shoppers, u)
	}
	return newShop(o.URL, o.Seed, products, words, shoppers), nil
}

// attack sends the requests until the duration has passed or ctx ends.
func attack(ctx context.Context, o options, s *shop, r *report, detail func(string)) error {
	attacker := vegeta.NewAttacker(vegeta.Timeout(requestTimeout), vegeta.MaxWorkers(maxInProgress), vegeta.Redirects(vegeta.NoFollow),
		vegeta.Connections(maxInProgress), vegeta.MaxBody(1<<20))
	results := attacker.Attack(s.next, vegeta.Rate{Freq: o.Rate, Per: time.Second}, o.Duration, "load")
	began := time.Now()
	line := time.NewTicker(time.Second / refreshes)
	defer line.Stop()
	done := ctx.Done()
	for {
		select {
		case result, ok := <-results:
			if !ok {
				return nil
			}
			what, created := s.ended(result)
			r.add(what, created, result)
		case <-line.C:
			detail(fmt.Sprintf("%.0f s, %d ended, 95 %% within %s, %d sales, %s", time.Since(began).Seconds(), r.ended,
				rounded(r.all.Quantile(.95)), len(r.sales), r.statuses()))
		case <-done:
			attacker.Stop()
			done = nil // Those in progress end.
		}
	}
}

// settle waits until every sale that was accepted is decided, except holds, and returns the
// number of sales by status.
func settle(ctx context.Context, o options, s *shop, accepted map[int64]kind, detail func(string)) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	api := &client.Client{URL: o.URL}
	statuses := map[string]int{}
	var undecided, read int
	for _, by := range s.shoppers {
		for _, id := range by.sales {
			hold := accepted[id] == "hold"
			sale, err := api.Await(ctx, by.user, id, "decided", func(s client.Sale) bool { return hold || s.Status != "Pending" })
			if err != nil {
				undecided++
			}
			if sale.Status == "Pending" && sale.Hold {
				sale.Status = "Pending (hold)"
			}
			statuses[cmp.Or(sale.Status, "unknown")]++
			read++
			detail(fmt.Sprintf("%d of %d", read, len(accepted)))
		}
	}
	if undecided > 0 {
		return statuses, fmt.Errorf("%d of %d sales are not decided after %s", undecided, len(accepted), settleTime)
	}
	return statuses, nil
}

// statuses returns the number of responses by status.
func (r *report) statuses() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(r.codes)) {
		parts = append(parts, fmt.Sprintf("%s: %d", code, r.codes[code]))
	}
	return strings.Join(parts, ", ")
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func (r *report) print(out io.Writer, statuses map[string]int) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nrequest\tnumber\tfailed\tlimited\t50 %\t95 %\t99 %\tlongest\t")
	for _, k := range kinds {
		m := r.byKind[k.kind]
		if m == nil {
			continue
		}
		m.Close()
		failed, limited := 0, m.StatusCodes[strconv.Itoa(http.StatusTooManyRequests)]
		for code, n := range m.StatusCodes {
			if code == "0" || code >= "500" {
				failed += n
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", k.kind, m.Requests, failed, limited,
			rounded(m.Latencies.P50), rounded(m.Latencies.P95), rounded(m.Latencies.P99), rounded(m.Latencies.Max))
	}
	_ = table.Flush() // to the terminal
	fmt.Fprintf(out, "\nResponses by status: %s\n", r.statuses())
	fmt.Fprintf(out, "Sales: %d accepted", len(r.sales))
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Fprintf(out, ", %s: %d", status, statuses[status])
	}
	fmt.Fprintln(out)
	if n := r.codes[strconv.Itoa(http.StatusTooManyRequests)]; n > 0 {
		fmt.Fprintf(out, "%d requests were over a limit of the gateway, which allows an address 100 requests/s by default (spec.gateway.rateLimit).\n", n)
	}
}
