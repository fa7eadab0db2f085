package main

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

//go:embed overlay/failpoint.go.txt
var failpointSource string

// failpointPackages are the packages with failpoints, and their folders.
var failpointPackages = map[string]string{"database": "services/internal/database", "outbox": "services/internal/outbox", "broker": "services/internal/broker",
	"mysql": "services/stock/internal/mysql"}

func init() {
	added["services/internal/failpoint/failpoint.go"] = failpointSource
	for name, folder := range failpointPackages {
		added[folder+"/chaos_failpoint.go"] = "package " + name + "\n\nimport \"ecommerce-stack.dev/services/internal/failpoint\"\n\n" +
			"func hit(point string) { failpoint.Hit(point) }\n"
	}
}

// failpoints add the named points to the services: before and after each commit, publication,
// confirmation, acknowledgment and deletion from the outbox.
var failpoints = []edit{
	{"services/internal/database/transaction.go", "\t\t\treturn checkDeadline(ctx)\n\t\t})\n",
		"\t\t\tif err := checkDeadline(ctx); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t\thit(\"before commit\")\n\t\t\treturn nil\n\t\t})\n" +
			"\t\tif err == nil {\n\t\t\thit(\"after commit\")\n\t\t}\n"},
	{"services/internal/broker/publisher.go", "\t\tc, err := p.ch.PublishWithDeferredConfirmWithContext(", "\t\thit(\"before publication\")\n\t\tc, err := p.ch.PublishWithDeferredConfirmWithContext("},
	{"services/internal/broker/publisher.go", "\t\tconfirms[i] = c\n", "\t\tconfirms[i] = c\n\t\thit(\"after publication\")\n"},
	{"services/internal/broker/publisher.go", "\t\tacked, err := c.WaitContext(ctx)\n", "\t\thit(\"before confirmation\")\n\t\tacked, err := c.WaitContext(ctx)\n\t\thit(\"after confirmation\")\n"},
	{"services/internal/broker/deferral.go", "\tif err := delivery.Ack(multiple); err != nil {\n\t\treturn fmt.Errorf(\"acknowledge: %w\", err)\n\t}\n",
		"\thit(\"before acknowledgment\")\n\tif err := delivery.Ack(multiple); err != nil {\n\t\treturn fmt.Errorf(\"acknowledge: %w\", err)\n\t}\n\thit(\"after acknowledgment\")\n"},
	{"services/internal/outbox/outbox.go", "\terr := tx.Exec(\"DELETE FROM outbox USING ", "\thit(\"before deletion\")\n\tdefer hit(\"after deletion\")\n\terr := tx.Exec(\"DELETE FROM outbox USING "},
	{stockRows, "\t\treturn writeChanges(tx.DB, work.Changes())\n\t})\n\treturn published, err\n", "\t\tchanges := work.Changes()\n\t\tif err := writeChanges(tx.DB, changes); err != nil {\n\t\t\treturn err\n\t\t}\n" +
		"\t\tif len(changes.Stocks) > 0 {\n\t\t\thit(\"" + withStocksLocked + "\")\n\t\t}\n\t\treturn nil\n\t})\n\treturn published, err\n"},
}

// withStocksLocked is the point in a transaction of stock's consumer where it has changed the stocks of sales. It is
// for a scenario and not in points.
const withStocksLocked = "with stocks locked"

// points are the names of the failpoints.
var points = []string{"before commit", "after commit", "before publication", "after publication", "before confirmation", "after confirmation",
	"before acknowledgment", "after acknowledgment", "before deletion", "after deletion"}

// failpointKinds are faults at the failpoints of the processes with events.
func failpointKinds(processes []string) []kind {
	var all []kind
	for _, point := range points {
		all = append(all, kind{"failpoint " + point, prefixed(processes, "sales", "stock"), time.Second, 4 * time.Second,
			func(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
				return r.arm(f, point)
			}})
	}
	return all
}

// failpointFile returns the file with the action of a process.
func (s *store) failpointFile(name string) string {
	return filepath.Join(s.Dir, name+".failpoint")
}

// disarmTime is longer than a process needs to read its file, and to end after a point that it has reached
// before: 0.3 s on an idle machine.
const disarmTime = time.Second

// arm kills a process when it reaches a point or a moment later, or delays it there.
func (r *round) arm(f fault, point string) (func(context.Context) error, error) {
	random := rand.New(rand.NewPCG(f.Seed, 5))
	action := []string{"kill", "late-kill", between(random, time.Second, 12*time.Second).String()}[random.IntN(3)]
	file := r.store.failpointFile(f.Target)
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d %s %s", 1+random.IntN(8), action, point), 0o600); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := os.Remove(file); err != nil {
			return err
		}
		sleep(ctx, disarmTime)
		if r.store.IsRunning(f.Target) {
			return nil
		}
		r.hits.Add(1)
		return r.store.StartService(f.Target)
	}, nil
}
