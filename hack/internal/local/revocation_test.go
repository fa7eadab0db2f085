package local_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
)

// revocationBound is the time within which a revocation has to have its effect in every service.
const revocationBound = 5 * time.Second

// newManager registers a manager and logs in.
func (s shop) newManager(t *testing.T) (user client.User, email, password string) {
	t.Helper()
	email, password = rand.Text()+"@example.com", rand.Text()
	body := map[string]string{"username": "max", "email": email, "password": password}
	if err := s.Do(t.Context(), s.manager, http.MethodPost, "/auth/register/manager", body, nil); err != nil {
		t.Fatal(err)
	}
	user, err := s.Login(t.Context(), email, password)
	if err != nil {
		t.Fatal(err)
	}
	return user, email, password
}

// id returns the id of a user.
func (s shop) id(t *testing.T, user client.User) int64 {
	t.Helper()
	var me struct{ ID int64 }
	if err := s.Do(t.Context(), user, http.MethodGet, "/auth/me", nil, &me); err != nil {
		t.Fatal(err)
	}
	return me.ID
}

func (s shop) setDisabled(t *testing.T, id int64, disabled bool) {
	t.Helper()
	if err := s.Do(t.Context(), s.manager, http.MethodPatch, fmt.Sprintf("/auth/users/%d", id), map[string]bool{"disabled": disabled}, nil); err != nil {
		t.Fatal(err)
	}
}

// write makes a write and returns the status of its response.
type write func(t *testing.T) int

func (s shop) post(user client.User, path string, body func() any) write {
	return func(t *testing.T) int {
		t.Helper()
		err := s.Do(t.Context(), user, http.MethodPost, path, body(), nil)
		if p, ok := errors.AsType[*client.Problem](err); ok {
			return p.Status
		}
		if err != nil {
			t.Error(err)
		}
		return http.StatusOK
	}
}

// writes returns a write of a manager in each service by the service's name.
func (s shop) writes(user client.User) map[string]write {
	return map[string]write{
		"auth": s.post(user, "/auth/register/manager", func() any {
			return map[string]string{"username": "eve", "email": rand.Text() + "@example.com", "password": rand.Text()}
		}),
		"sales": s.post(user, "/admin/dead-letters/1000000/redrive", func() any { return nil }),
		"stock": s.post(user, fmt.Sprintf("/stock/%d/receive/1", s.product), func() any { return nil }),
	}
}

// orders returns the write of a customer in sales.
func (s shop) orders(user client.User) map[string]write {
	return map[string]write{"sales": s.post(user, "/sales", func() any {
		return map[string]any{"items": []client.Item{{ProductID: s.product, Quantity: 1}}}
	})}
}

// expectRefused checks that each write is refused with a status within revocationBound, and then
// always.
func expectRefused(t *testing.T, writes map[string]write, status int) {
	t.Helper()
	for name, write := range writes {
		began := time.Now()
		testenv.Eventually(t, name+" refuses the write", func() bool { return write(t) == status })
		if took := time.Since(began); took > revocationBound {
			t.Errorf("%s refused the write after %s, want within %s", name, took, revocationBound)
		}
		for range 3 {
			if got := write(t); got != status {
				t.Errorf("%s: %d after it was refused, want %d", name, got, status)
			}
		}
	}
}

func expectAllowed(t *testing.T, writes map[string]write) {
	t.Helper()
	for name, write := range writes {
		if got := write(t); got == http.StatusUnauthorized || got == http.StatusForbidden {
			t.Errorf("%s: %d, want the write to be allowed", name, got)
		}
	}
}

func TestWritesOfDisabledAccountAreRefusedByEveryService(t *testing.T) {
	t.Parallel()
	s := startShop(t, 100)
	user, email, password := s.newManager(t)
	id, writes := s.id(t, user), s.writes(user)
	expectAllowed(t, writes)

	s.setDisabled(t, id, true)
	expectRefused(t, writes, http.StatusForbidden)
	if err := s.Do(t.Context(), user, http.MethodGet, "/auth/me", nil, nil); err != nil {
		t.Errorf("a read: %v, want no error", err)
	}
	expectAllowed(t, s.writes(s.manager))
	expectAllowed(t, s.orders(s.customer))
	s.setDisabled(t, s.id(t, s.customer), true)
	expectRefused(t, s.orders(s.customer), http.StatusForbidden)

	// A replica refuses them from its first request on, also while the broker is stopped.
	s.BrokerLink.Disconnect()
	for _, name := range []string{"stock", "sales"} {
		s.Kill(name)
		if err := s.Restart(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if got := writes[name](t); got != http.StatusForbidden {
			t.Errorf("%s: %d after a restart, want 403", name, got)
		}
	}
	if err := s.BrokerLink.Reconnect(); err != nil {
		t.Fatal(err)
	}

	// Enabling the account makes tokens of new logins valid, and not the old one.
	s.setDisabled(t, id, false)
	again, err := s.Login(t.Context(), email, password)
	if err != nil {
		t.Fatal(err)
	}
	expectAllowed(t, s.writes(again))
	expectRefused(t, writes, http.StatusUnauthorized)
}

func TestWritesGoOnWithoutAuth(t *testing.T) {
	t.Parallel()
	s := startShop(t, 100)
	user, _, _ := s.newManager(t)
	s.setDisabled(t, s.id(t, user), true)
	disabled := s.writes(user)
	expectRefused(t, disabled, http.StatusForbidden)

	s.Kill("auth")
	allowed := s.writes(s.manager)
	delete(disabled, "auth")
	delete(allowed, "auth")
	expectAllowed(t, allowed)
	expectRefused(t, disabled, http.StatusForbidden)

	// A replica that starts now does not know the list until auth responds.
	s.Kill("stock")
	if err := s.Restart(t.Context(), "stock"); err != nil {
		t.Fatal(err)
	}
	expectAllowed(t, allowed)
	if err := s.Restart(t.Context(), "auth"); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, disabled, http.StatusForbidden)
}

func TestRestartRestoresManagerOncePerRequest(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	other, _, _ := s.newManager(t)
	first, admin := s.id(t, s.manager), shop{System: s.System, Client: s.Client, manager: other, product: s.product}
	admin.setDisabled(t, first, true)
	if _, err := s.Login(t.Context(), s.ManagerEmail, s.ManagerPassword); err == nil {
		t.Fatal("the account is not disabled")
	}
	restart := func() {
		t.Helper()
		if err := s.StopService("auth"); err != nil {
			t.Error(err)
		}
		if err := s.Restart(t.Context(), "auth"); err != nil {
			t.Fatal(err)
		}
	}
	s.Configure("auth", "MANAGER_RESTORE=saturday")
	restart()
	var report struct{ Restored string }
	response, err := http.Get(s.MetricsURL("auth") + "/manager-restoration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil || report.Restored != "saturday" {
		t.Errorf("auth reports %+v, %v, want the request saturday", report, err)
	}
	if s.manager, err = s.Login(t.Context(), s.ManagerEmail, s.ManagerPassword); err != nil {
		t.Fatal(err)
	}
	expectAllowed(t, s.writes(s.manager))

	admin.setDisabled(t, first, true)
	restart()
	if _, err := s.Login(t.Context(), s.ManagerEmail, s.ManagerPassword); err == nil {
		t.Error("a restart has restored the account again")
	}
}
