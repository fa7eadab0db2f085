// Package sagatest checks that a consumer applies each event once, in every order and in
// every division into batches in which the broker may deliver it.
package sagatest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

// Step is an event that a service receives, or a request to it. The steps of a history
// concern one sale.
type Step struct {
	// Event is delivered twice. It is nil for a request.
	Event event.Data
	// Request is called once.
	Request func() error
	// After are the indices of the steps that cause this one: they come before it.
	After []int
}

// Service is a consumer with a database. Its outbox must not be running.
type Service struct {
	DB      *gorm.DB
	Handler broker.Handler
	// Tables are those with the state of a sale, besides the outbox.
	Tables []string
	// Reset restores the state in which every history begins.
	Reset func(t *testing.T)
}

// CheckSerial delivers the events of a history twice, in every order and in every division
// into batches. It fails the test when the rows differ from those after one delivery in the
// same order, or when a batch of redelivered events changes a row.
func (s Service) CheckSerial(t *testing.T, history []Step) {
	t.Helper()
	once := map[string]string{}
	for order := range orders(history) {
		first := firstOf(order)
		if once[fmt.Sprint(first)] == "" {
			once[fmt.Sprint(first)] = s.run(t, history, singleEventBatches(first))
		}
		for batches := range divisions(history, order) {
			if got, want := s.run(t, history, batches), once[fmt.Sprint(first)]; got != want {
				t.Fatalf("delivered as %v:\n%s\nwant, as after %v:\n%s", batches, got, first, want)
			}
		}
	}
}

// CheckConcurrent delivers each event of a history to two replicas at the same time,
// together with all others that the same steps cause. It fails the test when the rows differ
// from those after one delivery of each, in every order that is possible.
func (s Service) CheckConcurrent(t *testing.T, history []Step) {
	t.Helper()
	once := map[string]bool{}
	for order := range orders(history) {
		once[s.run(t, history, singleEventBatches(firstOf(order)))] = true
	}
	for range 20 {
		s.Reset(t)
		envelopes := newEnvelopes(t, history)
		for done := []int{}; len(done) < len(history); {
			var round []int
			for i, step := range history {
				if !slices.Contains(done, i) && containsAll(done, step.After) {
					round = append(round, i)
				}
			}
			var replicas sync.WaitGroup
			for _, i := range slices.Concat(round, round) {
				if history[i].Event == nil {
					continue
				}
				replicas.Go(func() {
					if err := s.Handler.Handle(t.Context(), []event.Envelope{envelopes[i]}); err != nil {
						t.Errorf("step %d: %v", i, err)
					}
				})
			}
			for _, i := range round {
				if history[i].Event == nil {
					replicas.Go(func() { call(t, history[i]) })
				}
			}
			replicas.Wait()
			done = append(done, round...)
		}
		if got := s.state(t, false); !once[got] {
			t.Fatalf("after concurrent deliveries:\n%s\nwant one of:\n%s", got, strings.Join(slices.Sorted(maps.Keys(once)), "\n"))
		}
	}
}

// run delivers the steps of a history in batches and returns the state without ids and times.
func (s Service) run(t *testing.T, history []Step, batches [][]int) string {
	t.Helper()
	s.Reset(t)
	envelopes := newEnvelopes(t, history)
	delivered := []int{}
	for _, batch := range batches {
		if history[batch[0]].Event == nil {
			call(t, history[batch[0]])
			delivered = append(delivered, batch...)
			continue
		}
		var events []event.Envelope
		for _, i := range batch {
			events = append(events, envelopes[i])
		}
		redelivered := containsAll(delivered, batch)
		var before string
		if redelivered {
			before = s.state(t, true)
		}
		if err := s.Handler.Handle(t.Context(), events); err != nil {
			t.Fatalf("delivered as %v: %v", batches, err)
		}
		if after := s.state(t, true); redelivered && after != before {
			t.Fatalf("delivered as %v: the redelivered batch %v changes the rows from\n%s\nto\n%s", batches, batch, before, after)
		}
		delivered = append(delivered, batch...)
	}
	return s.state(t, false)
}

func call(t *testing.T, step Step) {
	t.Helper()
	if err := step.Request(); err != nil {
		t.Errorf("request: %v", err)
	}
}

// newEnvelopes returns an envelope for each event of a history. An event that is delivered
// again has the same id.
func newEnvelopes(t *testing.T, history []Step) []event.Envelope {
	t.Helper()
	envelopes := make([]event.Envelope, len(history))
	for i, step := range history {
		if step.Event == nil {
			continue
		}
		var err error
		if envelopes[i], err = event.New("test", step.Event, time.Now(), ""); err != nil {
			t.Fatal(err)
		}
	}
	return envelopes
}

// volatile are the columns and fields that differ between equal histories.
var volatile = []string{"id", "event_id", "at", "created_at", "updated_at", "expires_at", "repeat_at", "releasedAt"}

// state returns the rows of the tables and the outbox. It leaves out ids and times unless
// exact is set.
func (s Service) state(t *testing.T, exact bool) string {
	t.Helper()
	var text strings.Builder
	for _, table := range append(slices.Clone(s.Tables), "outbox") {
		var rows []map[string]any
		if err := s.DB.Table(table).Order("1").Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if table == "outbox" && !exact {
				row = decodeOutboxRow(t, row["body"])
			}
			fmt.Fprintf(&text, "%s:", table)
			for _, column := range slices.Sorted(maps.Keys(row)) {
				if exact || !slices.Contains(volatile, column) {
					fmt.Fprintf(&text, " %s=%s", column, format(row[column]))
				}
			}
			text.WriteByte('\n')
		}
	}
	return text.String()
}

// decodeOutboxRow returns the type and the data of the event in the body of a row of the outbox.
func decodeOutboxRow(t *testing.T, body any) map[string]any {
	t.Helper()
	raw, _ := body.([]byte)
	e, err := event.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(e.Data, &fields); err != nil {
		t.Fatal(err)
	}
	fields["type"] = e.Type
	return fields
}

func format(value any) string {
	raw, binary := value.([]byte)
	switch {
	case !binary:
		return fmt.Sprint(value)
	case utf8.Valid(raw):
		return string(raw)
	}
	return hex.EncodeToString(raw)
}

// orders returns every order of the steps, with each event twice, in which no step comes
// before those that cause it.
func orders(history []Step) iter.Seq[[]int] {
	length := 0
	for i := range history {
		length += times(history, i)
	}
	return func(yield func([]int) bool) {
		var extend func(order []int) bool
		extend = func(order []int) bool {
			if len(order) == length {
				return yield(order)
			}
			for i, step := range history {
				if count(order, i) < times(history, i) && containsAll(order, step.After) && !extend(append(slices.Clone(order), i)) {
					return false
				}
			}
			return true
		}
		extend(nil)
	}
}

// divisions returns every division of an order into batches. A request is a batch of its own.
func divisions(history []Step, order []int) iter.Seq[[][]int] {
	return func(yield func([][]int) bool) {
		for cuts := range 1 << (len(order) - 1) {
			batches, valid := [][]int{{order[0]}}, true
			for i, step := range order[1:] {
				if cuts>>i&1 == 1 {
					batches = append(batches, []int{step})
					continue
				}
				valid = valid && history[step].Event != nil && history[order[i]].Event != nil
				batches[len(batches)-1] = append(batches[len(batches)-1], step)
			}
			if valid && !yield(batches) {
				return
			}
		}
	}
}

// times returns how often a step occurs in an order.
func times(history []Step, i int) int {
	if history[i].Event == nil {
		return 1
	}
	return 2
}

func count(order []int, step int) int {
	n := 0
	for _, s := range order {
		if s == step {
			n++
		}
	}
	return n
}

// firstOf returns an order without its repeated steps.
func firstOf(order []int) []int {
	var first []int
	for _, step := range order {
		if !slices.Contains(first, step) {
			first = append(first, step)
		}
	}
	return first
}

// singleEventBatches returns a batch for each step.
func singleEventBatches(order []int) [][]int {
	var batches [][]int
	for _, step := range order {
		batches = append(batches, []int{step})
	}
	return batches
}

func containsAll(order, steps []int) bool {
	for _, step := range steps {
		if !slices.Contains(order, step) {
			return false
		}
	}
	return true
}
