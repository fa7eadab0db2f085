// Package shop loads the system through its gateway as customers would, and checks
// that what it did fast it also did right.
package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/wire"
	"ecommerce-stack.dev/hack/internal/local"
)

// Customers that order; each has a token of its own.
const Customers = 1000

// Shop is a system with products to sell.
type Shop struct {
	System *local.System
	// DB is a connection of the bench's own, to look at rows and counters.
	DB *sql.DB
	// NoAudit leaves out the system's own audit, which reads the whole ledger; what has
	// left the stock is still compared with what was sold.
	NoAudit bool
	// Profiles takes CPU profiles of the services in closed loops, unless it is nil.
	Profiles *profile.Taker
	// Customers' Authorization header lines, and the manager's.
	tokens  []string
	manager string
	address string // of the gateway
}

// Open prepares a shop of a system whose products are filled in.
func Open(system *local.System, db *sql.DB) (*Shop, error) {
	signer, err := NewSigner(system.KeysFile)
	if err != nil {
		return nil, err
	}
	s := &Shop{System: system, DB: db, address: strings.TrimPrefix(system.URL, "http://")}
	for i := range Customers {
		s.tokens = append(s.tokens, authorization(signer.Token(int64(i+1), "Client")))
	}
	s.manager = authorization(signer.Token(Customers+1, "Manager"))
	return s, nil
}

func authorization(token string) string { return "Authorization: Bearer " + token + "\r\n" }

// Audit asks the system to recompute its ledger and fails when that does not add up.
func (s *Shop) Audit(ctx context.Context) error {
	if s.NoAudit {
		return nil
	}
	client := wire.New(s.address)
	defer client.Close()
	a, err := client.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/stock/audit", Header: s.manager})
	if err != nil {
		return err
	}
	var report struct {
		Products   int64
		Violations []struct {
			ProductID int64
			Rule      string
		}
	}
	if err := json.Unmarshal(a.Body, &report); a.Status != http.StatusOK || err != nil {
		return fmt.Errorf("GET /stock/audit: %d %s", a.Status, a.Body)
	}
	if len(report.Violations) > 0 {
		return fmt.Errorf("the audit found %d violations, the first of product %d: %s",
			len(report.Violations), report.Violations[0].ProductID, report.Violations[0].Rule)
	}
	return nil
}

// marks are where the tables end before a phase.
type marks struct {
	sale, entry int64
	removed     int64 // goods that ever left
}

func (s *Shop) marks(ctx context.Context) (m marks, err error) {
	err = s.DB.QueryRowContext(ctx, "SELECT (SELECT COALESCE(MAX(id), 0) FROM "+fill.Shop.Sales+".sales), (SELECT COALESCE(MAX(id), 0) FROM "+
		fill.Shop.Sales+".timeline), (SELECT CAST(COALESCE(SUM(removed), 0) AS SIGNED) FROM "+fill.Shop.Stock+".stocks)").
		Scan(&m.sale, &m.entry, &m.removed)
	return m, err
}

// profiled takes a profile of every service while do runs.
func (s *Shop) profiled(ctx context.Context, measurement string, do func() error) error {
	if s.Profiles == nil {
		return do()
	}
	for _, name := range Services {
		if err := s.Profiles.Begin(s.System.PID(name)); err != nil {
			return err
		}
	}
	err := do()
	for _, name := range Services {
		if endErr := s.Profiles.End(ctx, s.System.PID(name), measurement, name); err == nil {
			err = endErr
		}
	}
	return err
}
