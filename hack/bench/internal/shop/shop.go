// Package shop generates the load of customers at the gateway and checks the results.
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

// Customers is the number of customers, each with a token.
const Customers = 1000

// Shop is a system with products.
type Shop struct {
	System *local.System
	// DB is a separate connection pool, to read rows and counters.
	DB *sql.DB
	// NoAudit skips the audit of the system, which reads the whole ledger. The removed
	// stock is still compared with the confirmed sales.
	NoAudit bool
	// Profiles takes CPU profiles of the services in closed loops; optional.
	Profiles *profile.Taker
	// tokens are the Authorization header lines of the customers, manager is that of the
	// manager.
	tokens  []string
	manager string
	address string // of the gateway
}

// Open returns a shop for a system with products.
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

// Audit runs the audit of the system and returns an error if it finds violations.
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

// position contains the last IDs of the tables at the start of a phase.
type position struct {
	sale, entry int64
	removed     int64 // the removed stock of all products
}

func (s *Shop) position(ctx context.Context) (m position, err error) {
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
