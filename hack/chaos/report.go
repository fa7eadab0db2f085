package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// maxShown is the number of violations that are printed.
const maxShown = 10

// main returns the first violation that concerns a sale or a product, or else the first one.
func (res *result) main() violation {
	return res.Violations[max(0, slices.IndexFunc(res.Violations, func(v violation) bool { return v.Sale != 0 || v.Product != 0 }))]
}

// account returns the shortest account of a violation: what its customer did and was told, the
// sale with its timeline, the ledger, and the faults of that time.
func (r *round) account(c *checker, v violation) string {
	var b strings.Builder
	from, to := time.Duration(0), c.end
	if o := c.orders[v.Sale]; o != nil {
		from, to = o.Called-2*time.Second, o.Returned+5*time.Second
		fmt.Fprintf(&b, "  order %s: %s\n", o.Key, describeCall(o.call))
		for _, confirm := range o.Confirms {
			fmt.Fprintf(&b, "  confirmation: %s\n", describeCall(confirm))
		}
		for _, cancel := range o.Cancels {
			fmt.Fprintf(&b, "  cancellation: %s\n", describeCall(cancel))
		}
	}
	if row := c.sales[v.Sale]; row != nil {
		fmt.Fprintf(&b, "  sale: %s %s, hold %t, items %v, created at %.3fs, changed at %.3fs\n", row.Status, row.Reason, row.Hold, row.Items,
			row.CreatedAt.Sub(r.load.began).Seconds(), row.UpdatedAt.Sub(r.load.began).Seconds())
		fmt.Fprintf(&b, "  timeline: %s\n", strings.Join(c.timelines[v.Sale], ", "))
		to = row.UpdatedAt.Sub(r.load.began) + 2*time.Second
	}
	if v.Sale != 0 {
		fmt.Fprintf(&b, "  reservation: %s\n", cmp.Or(c.reservations[v.Sale], "none"))
		for _, m := range c.bySale[v.Sale] {
			fmt.Fprintf(&b, "  movement %d: %s %d of product %d\n", m.ID, m.Kind, m.Quantity, m.Product)
		}
	}
	for _, w := range r.faults.between(from, to) {
		fmt.Fprintf(&b, "  fault from %.1fs to %.1fs: %s\n", w.Began.Seconds(), w.Ended.Seconds(), w.fault)
	}
	return b.String()
}

func describeCall(c call) string {
	return fmt.Sprintf("called at %.3fs, returned at %.3fs, %s after %d attempts (%d %s)", c.Called.Seconds(), c.Returned.Seconds(), c.Outcome, c.Attempts, c.Status, c.Code)
}

// print prints the result of a round.
func (res *result) print(out io.Writer) {
	verdict := "no violation"
	if len(res.Violations) > 0 {
		verdict = fmt.Sprintf("%d VIOLATIONS", len(res.Violations))
	}
	fmt.Fprintf(out, "  seed %d: %d orders, %d acknowledged, %s, %d operations of managers, %d faults (%d kills at failpoints), quiet after %.1fs: %s\n", res.Seed, res.Orders, res.Acknowledged,
		counts(res.ByStatus), res.Moves, len(res.Faults), res.Hits, res.Quiet.Seconds(), verdict)
	for _, note := range res.Notes {
		fmt.Fprintf(out, "    note: %s\n", note)
	}
	for i, v := range res.Violations {
		if i == maxShown {
			fmt.Fprintf(out, "    and %d more\n", len(res.Violations)-maxShown)
			break
		}
		fmt.Fprintf(out, "    %s\n", v)
	}
	if res.Account != "" {
		fmt.Fprint(out, res.Account)
	}
}

// counts returns numbers by name, the largest first.
func counts(numbers map[string]int) string {
	var parts []string
	for _, name := range slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return cmp.Or(numbers[b]-numbers[a], strings.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%d %s", numbers[name], name))
	}
	return strings.Join(parts, ", ")
}

// printTable prints the table of docs/reliability.md over all rounds.
func printTable(out io.Writer, results []*result) {
	recoveries, statuses, injected := map[string][]time.Duration{}, map[string]int{}, map[string]int{}
	var orders, acknowledged, sales, moves, violations int
	for _, res := range results {
		orders, acknowledged, sales, moves = orders+res.Orders, acknowledged+res.Acknowledged, sales+res.Sales, moves+res.Moves
		violations += len(res.Violations)
		for name, n := range res.ByStatus {
			statuses[name] += n
		}
		for _, w := range res.Faults {
			injected[w.group()]++
		}
		for group, times := range res.Recovery {
			recoveries[group] = append(recoveries[group], times...)
		}
	}
	fmt.Fprintf(out, "\n%d rounds: %d orders, %d acknowledged, %d sales checked (%s), %d operations of managers, %d violations\n",
		len(results), orders, acknowledged, sales, counts(statuses), moves, violations)
	if violations == 0 && sales > 0 {
		// The rule of three: https://doi.org/10.1001/jama.1983.03330370053031
		fmt.Fprintf(out, "with 95 %% confidence fewer than %.1f of a million sales violate an invariant under these faults\n", 3e6/float64(sales))
	}
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tINJECTED\tRECOVERY MEDIAN\t99TH")
	for _, kind := range slices.Sorted(maps.Keys(injected)) {
		times := recoveries[kind]
		slices.Sort(times)
		if len(times) == 0 {
			fmt.Fprintf(w, "%s\t%d\t\t\n", kind, injected[kind])
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%.2f s\t%.2f s\n", kind, injected[kind], times[len(times)/2].Seconds(), times[min(len(times)-1, len(times)*99/100)].Seconds())
	}
	_ = w.Flush()
}

// writeResults writes the results in the form of `go test -json`, for the summary of `make test`.
func writeResults(file string, results []*result) error {
	var b strings.Builder
	for _, res := range results {
		action := "pass"
		if len(res.Violations) > 0 {
			action = "fail"
		}
		line, err := json.Marshal(map[string]string{"Action": action, "Package": "ecommerce-stack.dev/hack/chaos", "Test": fmt.Sprintf("Seed%d", res.Seed)})
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}
