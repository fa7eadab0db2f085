package authn

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
)

// RevocationsPattern is the route of RevocationsHandler at the metrics address of auth.
const RevocationsPattern = "GET /revocations"

const (
	// revocationInterval is the time between two reads of the list, and so the time within which a
	// revocation has its effect.
	revocationInterval = time.Second
	// revocationTimeout bounds one read of the list, and the first reads before a process serves.
	revocationTimeout = 2 * time.Second
	// MaxRevocations bounds the list. The newest revocations have precedence.
	MaxRevocations = 10_000
	// maxRevocationsBody bounds the size of the list in bytes; an entry has about 60.
	maxRevocationsBody = 100 * MaxRevocations
)

// Revocation says that access tokens of a user, which have not expired, are not valid for writes any
// more.
type Revocation struct {
	UserID int64 `json:"userId"`
	// Generation is that of the tokens that are valid. Tokens of a lower one are revoked.
	Generation int64 `json:"generation"`
	// Disabled reports whether the account is disabled.
	Disabled bool `json:"disabled"`
}

// Errors of writes with a revoked token.
var (
	ErrAccountDisabled = failure.Forbidden("account_disabled", "The account is disabled. Ask a manager to enable it.")
	ErrTokenRevoked    = failure.Unauthenticated(problem.InvalidToken, "The account has changed since the token was issued. Refresh the session, or log in.")
)

// Revocations returns the current list: the revocations of all tokens that may not have expired.
type Revocations func(ctx context.Context) ([]Revocation, error)

type revocationList struct {
	Revocations []Revocation `json:"revocations"`
}

// RevocationsHandler returns a handler that responds with the list:
//
//	{"revocations":[{"userId":7,"generation":1,"disabled":true}]}
//
// The other services read it with FetchRevocations.
func RevocationsHandler(list Revocations, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), revocationTimeout)
		defer cancel()
		revocations, err := list(ctx)
		if err != nil {
			log.WarnContext(ctx, "reading the revocations failed", "error", err)
			http.Error(w, "the revocations cannot be read", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(revocationList{revocations}) // The client may be gone.
	})
}

// FetchRevocations returns a function that reads the list from the URL of a RevocationsHandler.
func FetchRevocations(url string) Revocations {
	return func(ctx context.Context) ([]Revocation, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("read the revocations: %w", err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, fmt.Errorf("read the revocations: %w", err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("read the revocations: auth responded with %s", res.Status)
		}
		var list revocationList
		if err := json.NewDecoder(io.LimitReader(res.Body, maxRevocationsBody)).Decode(&list); err != nil {
			return nil, fmt.Errorf("read the revocations: %w", err)
		}
		return list.Revocations, nil
	}
}

// RevocationReader keeps the list of a Verifier current. While it cannot be read, the last one
// is in effect, and before the first read none.
type RevocationReader struct {
	verifier *Verifier
	read     Revocations
	log      *slog.Logger
	size     prometheus.Gauge
	last     prometheus.Gauge
	started  chan struct{}
	failing  bool
}

// NewRevocationReader returns a RevocationReader and registers its metrics with reg.
func NewRevocationReader(v *Verifier, read Revocations, log *slog.Logger, reg prometheus.Registerer) *RevocationReader {
	r := &RevocationReader{verifier: v, read: read, log: log, started: make(chan struct{}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_revocations", Help: "Users of whom access tokens are revoked."}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_revocations_last_success_timestamp_seconds",
			Help: "Time at which the list of revocations was last read; 0 before the first time."}),
	}
	reg.MustRegister(r.size, r.last)
	return r
}

// Started returns a channel that is closed when Run has read the list, or tried to for two seconds.
func (r *RevocationReader) Started() <-chan struct{} { return r.started }

// Run reads the list at once, and then every second until ctx ends.
func (r *RevocationReader) Run(ctx context.Context) {
	r.readFirst(ctx)
	close(r.started)
	tick := time.NewTicker(revocationInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.update(ctx)
		}
	}
}

// readFirst tries to read the list until it succeeds or revocationTimeout has passed.
func (r *RevocationReader) readFirst(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, revocationTimeout)
	defer cancel()
	tick := time.NewTicker(revocationTimeout / 20)
	defer tick.Stop()
	for !r.update(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *RevocationReader) update(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, revocationTimeout)
	defer cancel()
	list, err := r.read(ctx)
	if err != nil {
		if !r.failing && ctx.Err() == nil {
			r.failing = true
			r.log.WarnContext(ctx, "reading the revocations failed, retrying", "error", err)
		}
		return false
	}
	if r.failing {
		r.failing = false
		r.log.InfoContext(ctx, "the revocations are read again")
	}
	revoked := make(map[int64]Revocation, len(list))
	for _, entry := range list {
		revoked[entry.UserID] = entry
	}
	r.verifier.revoked.Store(&revoked)
	r.size.Set(float64(len(revoked)))
	r.last.SetToCurrentTime()
	return true
}

// checkRevoked returns ErrAccountDisabled or ErrTokenRevoked for a caller whose token is revoked.
func (v *Verifier) checkRevoked(p Principal) error {
	list := v.revoked.Load()
	if list == nil {
		return nil
	}
	entry, found := (*list)[p.UserID]
	switch {
	case !found || p.Generation >= entry.Generation:
		return nil
	case entry.Disabled:
		return ErrAccountDisabled
	}
	return ErrTokenRevoked
}

// isWrite reports whether a method may change something (RFC 9110, section 9.2.1).
func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
