package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/auth/internal/httpapi"
	"ecommerce-stack.dev/services/auth/internal/mysql"
	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/auth/internal/token"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"

	"github.com/prometheus/client_golang/prometheus"
)

// clock is a time that tests advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// auth is a service with a separate schema.
type auth struct {
	t        testing.TB
	url      string
	handler  http.Handler
	db       *gorm.DB
	accounts *account.Service
	keys     *authntest.Keys
	clock    *clock
	metrics  *prometheus.Registry
	manager  string // Authorization of a manager
}

const managerEmail, validPassword = "boss@example.com", "correct horse battery"

func start(t testing.TB) *auth {
	t.Helper()
	dsn := testenv.Schema(t)
	log := slog.New(slog.DiscardHandler)
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), log); err != nil {
		t.Fatal(err)
	}
	a := serve(t, dsn, "")
	if err := a.accounts.EnsureManager(t.Context(), managerEmail, validPassword); err != nil {
		t.Fatal(err)
	}
	a.manager = "Bearer " + a.login(managerEmail, validPassword).access
	return a
}

func serve(t testing.TB, dsn, manager string) *auth {
	t.Helper()
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	a := &auth{t: t, db: db, keys: authntest.New(t), clock: &clock{now: database.Now()}, metrics: telemetry.NewRegistry("auth"), manager: manager}
	signer, err := token.NewSigner(token.Config{SigningFile: a.keys.SigningFile, ActiveFile: a.keys.ActiveFile, TTL: 15 * time.Minute},
		authntest.Issuer, authntest.Audience)
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := password.NewHasher(password.MinCost, 2, a.metrics)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a.accounts = &account.Service{Store: mysql.NewStore(db), Signer: signer, Hasher: hasher, RefreshTTL: 24 * time.Hour,
		Log: log, Now: a.clock.Now}
	verifier := a.keys.Verifier(t)
	srv := server.New(server.Options{Name: "auth", Title: "Auth", Log: log, Metrics: a.metrics, Health: health.New(), Verifier: verifier})
	(&httpapi.API{Accounts: a.accounts, PublicKeys: verifier.PublicKeys}).Register(srv.API())
	ts := httptest.NewServer(srv.Handler())
	t.Cleanup(ts.Close)
	a.url, a.handler = ts.URL, srv.Handler()
	return a
}

type response struct {
	status int
	header http.Header
	body   map[string]any
}

func (a *auth) do(method, path, authorization, body string, header ...string) response {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	got := response{status: res.StatusCode, header: res.Header}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &got.body); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return got
}

// expect fails the test unless the response has the status and, for a problem, the code.
func (a *auth) expect(got response, status int, code string) response {
	a.t.Helper()
	gotCode, _ := got.body["code"].(string)
	if got.status != status || gotCode != code {
		a.t.Errorf("got %d %q, want %d %q\n%v", got.status, gotCode, status, code, got.body)
	}
	return got
}

type session struct{ access, refresh string }

func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (a *auth) tryLogin(email, text string) response {
	a.t.Helper()
	return a.do("POST", "/auth/login", "", object("email", email, "password", text))
}

func (a *auth) login(email, text string) session {
	a.t.Helper()
	return sessionOf(a.expect(a.tryLogin(email, text), 200, ""))
}

func (a *auth) refresh(refresh string) response {
	a.t.Helper()
	return a.do("POST", "/auth/refresh", "", object("refreshToken", refresh))
}

func sessionOf(got response) session {
	access, _ := got.body["accessToken"].(string)
	refresh, _ := got.body["refreshToken"].(string)
	return session{access, refresh}
}

// register creates a client account and returns its id.
func (a *auth) register(email string) int64 {
	a.t.Helper()
	got := a.expect(a.do("POST", "/auth/register/user", "", object("username", "Ada", "email", email, "password", validPassword)), 201, "")
	id, _ := got.body["id"].(float64)
	return int64(id)
}

// locations returns the locations of the invalid values in a response.
func locations(got response) []string {
	var out []string
	list, _ := got.body["errors"].([]any)
	for _, e := range list {
		out = append(out, e.(map[string]any)["location"].(string))
	}
	return out
}

func expectStrings(t *testing.T, name string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (a *auth) clientToken(id int64) string { return a.keys.Bearer(a.t, id, authn.Client) }
