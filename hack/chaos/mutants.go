package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/internal/progress"
)

// mutant is a defect that is put into the sources, to check that the harness finds it.
type mutant struct {
	name  string
	edits []edit
	// only are the kinds of faults that expose the defect; none is for a load without faults.
	only []string
	// target limits the faults to targets whose names contain it.
	target string
	// unrepaired turns off the repetition of commands, which hides the loss of an event.
	unrepaired bool
	// length is that of the load, by default mutantLength.
	length time.Duration
}

// Files of the sources that mutants change.
const (
	unitOfWork    = "services/stock/internal/inventory/unitofwork.go"
	stockCommand  = "services/stock/internal/inventory/command.go"
	stockRows     = "services/stock/internal/mysql/inventory.go"
	salesCreate   = "services/sales/internal/mysql/create.go"
	salesChanges  = "services/sales/internal/mysql/changes.go"
	salesRows     = "services/sales/internal/mysql/sales.go"
	salesRepeat   = "services/sales/internal/mysql/repeat.go"
	saleDomain    = "services/sales/internal/sale/sale.go"
	deadLetters   = "services/sales/internal/mysql/deadletters.go"
	outboxFile    = "services/internal/outbox/outbox.go"
	consumerFile  = "services/internal/broker/consumer.go"
	databaseOnce  = "services/internal/database/once.go"
	databaseClock = "services/internal/database/clock.go"
	databaseFile  = "services/internal/database/database.go"
	databaseError = "services/internal/database/errors.go"
)

// crashes are the faults that lose what is only in the memory of a process.
var crashes = []string{"kill", "failpoint after commit", "failpoint before publication", "failpoint before commit"}

// mutants are the defects. The old text of each edit must occur exactly once in its file, which a test
// checks.
var mutants = []mutant{
	{name: "stock reserves more than is available",
		edits: []edit{{unitOfWork, "\t\tcase s.Available < l.Quantity:\n", "\t\tcase false:\n"}}},
	{name: "a manager reserves more than is available",
		edits: []edit{{unitOfWork, "\t\tif s.Available < quantity {\n", "\t\tif false {\n"}}},
	{name: "a sale reserves twice",
		edits: []edit{{unitOfWork, "\tif u.reservations[saleID] != nil {\n\t\treturn nil\n\t}\n\tr := Reservation{", "\tr := Reservation{"}},
		only:  []string{"duplicate and reorder messages of"}},
	{name: "no tombstone for a sale that is canceled before it is created",
		edits: []edit{{unitOfWork, "\t\tu.setReservation(Reservation{SaleID: saleID, Status: ReservationReleased, Lines: []Line{}})\n", ""}},
		only:  []string{"duplicate and reorder messages of", "record messages of", "close connections of", "memory alarm of"}},
	{name: "a reservation is released without a guard",
		edits: []edit{{unitOfWork, "\tcase r.Status == ReservationReleased:\n\t\treturn nil, nil\n\tcase r.Status == ReservationRejected:\n", "\tcase r.Status == ReservationRejected:\n"}},
		only:  []string{"duplicate and reorder messages of"}},
	{name: "goods are removed without a guard",
		edits: []edit{{unitOfWork, "\tcase r.Status == ReservationRemoved:\n\t\treturn nil, nil\n\tcase r.Status != ReservationReserved:\n" +
			"\t\treturn nil, fmt.Errorf(\"sale %d is confirmed, but its reservation is %s\", saleID, r.Status)\n", ""}},
		only: []string{"duplicate and reorder messages of"}},
	{name: "stock is read before it is locked",
		edits: []edit{{stockRows, "\"WHERE product_id IN ? ORDER BY product_id FOR UPDATE\", products).Scan(&stocks)",
			"\"WHERE product_id IN ? ORDER BY product_id \", products).Scan(&stocks)"}}},
	{name: "reservations are read without a lock",
		edits: []edit{
			{stockRows, "selectReservations(tx, sales, \"FOR UPDATE\")", "selectReservations(tx, sales, \"\")"},
			// Another transaction must commit between this and the lock of the stocks.
			{stockRows, "\treservations, err := lockReservations(tx, sales)\n", "\treservations, err := lockReservations(tx, sales)\n\ttime.Sleep(500 * time.Millisecond)\n"},
		},
		only: []string{"duplicate and reorder messages of"}},
	{name: "quantities are written without movements",
		edits: []edit{{stockRows, "\treturn writeMovements(tx, c.Movements)\n", "\treturn nil\n"}}},
	{name: "movements are written without quantities",
		edits: []edit{{stockRows, "\tif err := writeStocks(tx, c.Stocks); err != nil {\n\t\treturn err\n\t}\n", ""}}},
	{name: "stock does not respond to a repeated command (defect 5)",
		edits: []edit{{stockCommand, "\tif err == nil && published == nil && c.Repeated {\n", "\tif false {\n"}},
		only:  []string{"lose the queue of"}, target: salesConsumers},
	{name: "commands are not repeated (defect 5)",
		edits: []edit{{salesRepeat, "\"repeat_at <= NOW(6) ORDER BY repeat_at LIMIT ? FOR UPDATE SKIP LOCKED\"", "\"FALSE ORDER BY repeat_at LIMIT ? FOR UPDATE SKIP LOCKED\""}},
		only:  []string{"lose the queue of"}},
	{name: "an event is acknowledged before its commit",
		edits: []edit{
			{consumerFile, "\t\terr := c.callHandler(traced, envelopes)\n", "\t\tif attempt == 1 {\n\t\t\tfor _, p := range parsed {\n\t\t\t\t_ = p.delivery.Ack(false)\n\t\t\t}\n\t\t}\n\t\terr := c.callHandler(traced, envelopes)\n"},
			{consumerFile, "\t\t\treturn deferred.acknowledge(parsed)\n", "\t\t\tdeferred.remove(parsed...)\n\t\t\treturn nil\n"},
		},
		only: []string{"kill", "failpoint before commit"}, unrepaired: true},
	{name: "a message that cannot be handled is dropped",
		edits: []edit{{consumerFile, "\tif err := d.Nack(false, false); err != nil {\n", "\tif err := d.Ack(false); err != nil {\n"}}},
	{name: "an event is not in the transaction of its cause",
		edits: []edit{{outboxFile, "\t\treturn insertMessages(db, messages)\n", "\t\treturn nil\n"}}, only: crashes, unrepaired: true},
	{name: "an event is published before the commit of its cause",
		edits: []edit{{outboxFile, "\t\treturn insertMessages(db, messages)\n", "\t\tfor _, m := range messages {\n\t\t\to.claims.add([]broker.Message{m}, claimed.Add(o.claim))\n\t\t\to.committed <- m\n\t\t}\n\t\treturn insertMessages(db, messages)\n"}},
		only:  []string{"failpoint before commit"}, target: "sales", length: 20 * time.Second},
	{name: "the dispatcher deletes events that are not confirmed",
		edits: []edit{{outboxFile, "deleteMessages(o.db.WithContext(context.WithoutCancel(ctx)), confirmed)", "deleteMessages(o.db.WithContext(context.WithoutCancel(ctx)), batch)"}},
		only:  []string{"kill", "pause", "refused", "reset"}, unrepaired: true},
	{name: "the relay deletes events that are not confirmed",
		edits: []edit{{outboxFile, "\t\treturn deleteMessages(tx, confirmed)\n", "\t\treturn deleteMessages(tx, batch)\n"}},
		only:  []string{"refused"}, target: "→" + brokerName, length: 24 * time.Second, unrepaired: true},
	{name: "no relay",
		edits: []edit{{outboxFile, "\t\tread = len(rows)\n\t\tif read == 0 {\n", "\t\tif read = 0; true {\n"}}, only: []string{"kill", "refused"}},
	{name: "the relay waits for rows that are locked",
		edits: []edit{{outboxFile, "\"ORDER BY claimed_at, event_id LIMIT ? FOR UPDATE SKIP LOCKED\"", "\"ORDER BY claimed_at, event_id LIMIT ? FOR UPDATE\""}},
		only:  []string{"hold the oldest events of the outbox of"}, length: 28 * time.Second},
	{name: "the database keeps the session of a client that has vanished (defect 1)",
		edits: []edit{{databaseFile, "[]string{\"wait_timeout\", \"net_read_timeout\", \"net_write_timeout\"}", "[]string{\"net_read_timeout\", \"net_write_timeout\"}"}},
		only:  []string{"vanish with locks of"}, length: 36 * time.Second},
	{name: "a lock wait is an unavailable database (defect 2)",
		edits: []edit{{databaseError, "func isLockWait(err error) bool {\n", "func isLockWait(err error) bool {\n\tif true {\n\t\treturn false\n\t}\n"}},
		only:  []string{"hold a product of"}, length: 24 * time.Second},
	{name: "no stored response for the key of an order",
		edits: []edit{{salesCreate, "\t\treturn insertResponses(tx.DB, fresh)\n", "\t\treturn nil\n"}}},
	{name: "an order is acknowledged whose commit failed",
		edits: []edit{{salesCreate, "\terr := s.createSales(ctx, batch)\n\tend(err)\n\treturn err\n", "\terr := s.createSales(ctx, batch)\n\tend(err)\n\treturn nil\n"}},
		only:  []string{"kill connections of", "read-only", "kill"}},
	{name: "no stored response for the key of a movement",
		edits: []edit{{databaseOnce, "\tif r.IsZero() {\n", "\tif true {\n"}}},
	{name: "a sale is decided without a lock of its row",
		edits: []edit{{salesChanges, "\"id IN ? ORDER BY id FOR UPDATE\", ids)", "\"id IN ? ORDER BY id\", ids)"}}},
	{name: "a hold is confirmed after it has expired (defect 8)",
		edits: []edit{{saleDomain, "\tcase s.ExpiresAt != nil && !now.Before(*s.ExpiresAt):\n\t\treturn event.SaleConfirmed{}, ErrExpired\n", ""}}, only: []string{"lock rows of"}},
	{name: "a hold is confirmed before its stock is reserved",
		edits: []edit{{saleDomain, "\tcase !s.Reserved:\n\t\treturn event.SaleConfirmed{}, ErrNotReserved\n", ""}}, only: []string{"pause", "memory alarm of"}},
	{name: "a reservation confirms a sale that is canceled",
		edits: []edit{{saleDomain, "\tif s.IsDecided() || s.Reserved {\n\t\treturn nil, false\n\t}\n\tprices :=", "\tif s.Reserved {\n\t\treturn nil, false\n\t}\n\tprices :="}}},
	{name: "a rejection changes a sale that is canceled",
		edits: []edit{{saleDomain, "\tif s.IsDecided() || s.Reserved {\n\t\treturn false\n\t}\n\ts.Shortages", "\ts.Shortages"}}, only: []string{"duplicate and reorder messages of", "pause"}},
	{name: "a hold expires without an event",
		edits: []edit{{salesRows, "\t\t\ttx.Publish(*canceled)\n\t\t\texpired++\n", "\t\t\texpired++\n"}}, unrepaired: true},
	{name: "the clock of the replica decides (defect 6)",
		edits: []edit{{databaseClock, "\tif c := current.Load(); c != nil {\n", "\tif c := current.Load(); false {\n"}}, only: []string{"wrong clock"}},
	{name: "a clock that is set decides (defect 6)",
		edits: []edit{{databaseClock, "now = c.database.Add(now.Sub(c.process))", "now = c.database.Add(now.Round(0).Sub(c.process.Round(0)))"}}, only: []string{"set the clock of"}},
	{name: "a large dead letter is stored whole (defect 7)",
		edits: []edit{{deadLetters, "database.Binary(l.Body[:min(len(l.Body), deadletter.MaxBodyStored)])", "database.Binary(l.Body)"}}},
}

// Settings of the runs of mutants.
const (
	mutantSeed   = 7
	mutantLength = 12 * time.Second
	// mutantQuiet limits the time for what is left undecided.
	mutantQuiet  = 10 * time.Second
	mutantRounds = 3
)

// errSurvived is the error for mutants that no check has found.
var errSurvived = errors.New("defects were not found")

// selectMutants returns the mutants whose names contain one of the texts, or all after two controls,
// which have no defect.
func selectMutants(texts []string) []mutant {
	if len(texts) == 0 {
		return append([]mutant{{name: "control"}, {name: "control without repetition of commands", only: crashes, unrepaired: true}}, mutants...)
	}
	return slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(m.name, text) })
	})
}

// runMutants runs the load with each mutant, until a round finds a violation, and prints the
// score. A control must find none.
func runMutants(ctx context.Context, root string, selected []mutant, out *progress.Printer) error {
	dir, err := os.MkdirTemp("", "ecommerce-chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(root, dir, failpoints)
	if err != nil {
		return err
	}
	s, err := startStore(ctx, root, options{}, []string{overlay}, out)
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }()
	db, err := openDatabase(s.MySQL.DSN)
	if err != nil {
		return err
	}
	defer db.Close()
	var survived []string
	found, total := 0, 0
	for _, m := range selected {
		isControl := len(m.edits) == 0
		var first string
		err := out.Run(m.name, func(detail func(string)) (err error) {
			first, err = runMutant(ctx, s, &round{store: s, db: db, seed: mutantSeed}, root, m, detail)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		case isControl && first != "":
			return fmt.Errorf("%s has no defect, but: %s", m.name, first)
		case isControl:
			continue
		case first == "":
			survived = append(survived, m.name)
			out.Printf("      NOT FOUND")
		default:
			found++
			out.Printf("      %s", first)
		}
		total++
	}
	out.Printf("%d of %d defects found", found, total)
	if len(survived) > 0 {
		return fmt.Errorf("%w: %s", errSurvived, strings.Join(survived, "; "))
	}
	return nil
}

// limitTargets returns the kinds with the targets whose names contain a text.
func limitTargets(all []kind, text string) []kind {
	var limited []kind
	for _, k := range all {
		k.targets = slices.DeleteFunc(slices.Clone(k.targets), func(target string) bool { return !strings.Contains(target, text) })
		if len(k.targets) > 0 {
			limited = append(limited, k)
		}
	}
	return limited
}

// runMutant runs rounds with a mutant, and returns the first violation, or "" without one.
func runMutant(ctx context.Context, s *store, r *round, root string, m mutant, detail func(string)) (first string, err error) {
	dir, err := os.MkdirTemp("", "ecommerce-chaos-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	flag, err := writeOverlay(root, dir, slices.Concat(m.edits, failpoints))
	if err != nil {
		return "", err
	}
	var env []string
	if m.unrepaired {
		env = []string{"RECONCILE_AFTER=1h"}
	}
	detail("build")
	if err := s.reset(ctx, r.db, flag, env); err != nil {
		return "", err
	}
	processes, edges := names()
	var selected []kind
	if len(m.only) > 0 {
		if selected, err = selectKinds(kinds(processes, edges), m.only); err != nil {
			return "", err
		}
		selected = limitTargets(selected, m.target)
	}
	for n := range mutantRounds {
		next := &round{store: s, db: r.db, seed: r.seed + uint64(100*n), quiet: mutantQuiet, unrepaired: m.unrepaired}
		var plan []fault
		length := cmp.Or(m.length, mutantLength)
		if len(selected) > 0 {
			plan = newPlan(next.seed, length, selected)
		}
		res, err := next.run(ctx, length, selected, plan, detail)
		if err != nil {
			return "", err
		}
		if len(res.Violations) > 0 {
			return res.main().String(), nil
		}
		if len(m.edits) == 0 {
			break
		}
	}
	return "", nil
}
