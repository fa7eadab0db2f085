package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/idempotency"
)

func TestRegistrationCreatesClientAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	got := a.expect(a.do("POST", "/auth/register/user", "", object("username", "Ada", "email", "Ada@Example.com", "password", validPassword)), 201, "")
	createdAt, err := time.Parse(time.RFC3339, fmt.Sprint(got.body["createdAt"]))
	if err != nil || createdAt.Location() != time.UTC {
		t.Errorf("createdAt %v: %v", got.body["createdAt"], err)
	}
	delete(got.body, "createdAt")
	id := got.body["id"].(float64)
	want := map[string]any{"id": id, "username": "Ada", "email": "ada@example.com", "role": "Client", "disabled": false}
	if diff := cmp.Diff(want, got.body); diff != "" || id < 1 {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	a.expect(a.do("POST", "/auth/register/user", "", object("username", "B", "email", "ADA@example.COM", "password", validPassword)), 409, "email_taken")
	a.expect(a.do("POST", "/auth/register/user", "", `{`), 400, "malformed_json")
}

func TestInvalidRegistrationNamesFields(t *testing.T) {
	t.Parallel()
	a := start(t)
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"nothing":         {`{}`, []string{"body.email", "body.password", "body.username"}},
		"empty":           {object("username", "", "email", "", "password", ""), []string{"body.email", "body.password", "body.username"}},
		"short password":  {object("username", "a", "email", "a@b.de", "password", "kq8#Zp"), []string{"body.password"}},
		"73 bytes":        {object("username", "a", "email", "a@b.de", "password", strings.Repeat("é", 36)+"x"), []string{"body.password"}},
		"common password": {object("username", "a", "email", "a@b.de", "password", "Password123"), []string{"body.password"}},
		"a role":          {object("username", "a", "email", "a@b.de", "password", validPassword, "role", "Manager"), []string{"body.role"}},
		"long username":   {object("username", strings.Repeat("x", 101), "email", "a@b.de", "password", validPassword), []string{"body.username"}},
	} {
		got := a.expect(a.do("POST", "/auth/register/user", "", c.body), 422, "invalid_request")
		expectStrings(t, name, c.want, locations(got))
	}
}

func TestPasswordOf72BytesIsComparedCompletely(t *testing.T) {
	t.Parallel()
	a := start(t)
	longest := strings.Repeat("kq8#Zp2!vuWm", 6)
	a.expect(a.do("POST", "/auth/register/user", "", object("username", "a", "email", "a@b.de", "password", longest)), 201, "")
	a.expect(a.tryLogin("a@b.de", longest), 200, "")
	a.expect(a.tryLogin("a@b.de", longest+"x"), 401, "invalid_credentials")
	a.expect(a.tryLogin("a@b.de", longest[:71]), 401, "invalid_credentials")
}

func TestOnlyManagersRegisterManagers(t *testing.T) {
	t.Parallel()
	a := start(t)
	body := object("username", "M", "email", "m@example.com", "password", validPassword)
	a.expect(a.do("POST", "/auth/register/manager", "", body), 401, "unauthenticated")
	a.expect(a.do("POST", "/auth/register/manager", a.clientToken(1), body), 403, "forbidden")
	got := a.expect(a.do("POST", "/auth/register/manager", a.manager, body), 201, "")
	if got.body["role"] != "Manager" {
		t.Errorf("role %v", got.body["role"])
	}
	a.expect(a.do("POST", "/auth/register/manager", a.manager, body), 409, "email_taken")
}

func TestLoginReturnsTokenThatServicesAccept(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.register("ada@example.com")
	got := a.expect(a.tryLogin("ADA@example.com", validPassword), 200, "")
	if got.body["tokenType"] != "Bearer" || got.body["expiresIn"] != 900.0 || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("session %v, Cache-Control %q", got.body, got.header.Get("Cache-Control"))
	}
	s := sessionOf(got)
	want := authn.Principal{UserID: id, Email: "ada@example.com", Role: authn.Client}
	if p, err := a.keys.Verifier(t).Verify(s.access); err != nil || p != want {
		t.Errorf("token has %+v, %v, want %+v", p, err, want)
	}
	me := a.expect(a.do("GET", "/auth/me", "Bearer "+s.access, ""), 200, "")
	if me.body["id"] != float64(id) {
		t.Errorf("me is %v", me.body)
	}
	a.expect(a.do("GET", "/auth/me", "", ""), 401, "unauthenticated")
	a.expect(a.do("GET", "/auth/me", "Bearer x", ""), 401, "invalid_token")
	a.expect(a.do("GET", "/auth/me", a.clientToken(1<<40), ""), 404, "user_not_found")
}

func TestUnknownEmailAndWrongPasswordHaveSameResponse(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	hashes := func() uint64 { return histogramCount(t, a.metrics, "auth_password_hash_seconds") }
	var bodies []map[string]any
	for _, email := range []string{"ada@example.com", "nobody@example.com", "not an email"} {
		before := hashes()
		got := a.expect(a.tryLogin(email, "wrong password"), 401, "invalid_credentials")
		if n := hashes() - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", email, n)
		}
		delete(got.body, "traceId")
		bodies = append(bodies, got.body)
	}
	if !cmp.Equal(bodies[0], bodies[1]) || !cmp.Equal(bodies[0], bodies[2]) {
		t.Errorf("the responses differ: %v", bodies)
	}
	a.expect(a.do("POST", "/auth/login", "", `{}`), 422, "invalid_request")
}

func TestFailedLoginsDelayNextOnesUntilSuccess(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		for range 5 {
			a.expect(a.tryLogin(email, "wrong password"), 401, "invalid_credentials")
		}
		got := a.expect(a.tryLogin(email, validPassword), 429, "too_many_attempts")
		if retry := got.header.Get("Retry-After"); retry != "1" {
			t.Errorf("Retry-After %q, want 1", retry)
		}
	}
	a.clock.advance(time.Second)
	a.expect(a.tryLogin("ada@example.com", "wrong password"), 401, "invalid_credentials")
	got := a.expect(a.tryLogin("Ada@Example.com", validPassword), 429, "too_many_attempts")
	if retry := got.header.Get("Retry-After"); retry != "2" {
		t.Errorf("Retry-After %q, want 2: the delay grows", retry)
	}
	a.clock.advance(2 * time.Second)
	a.login("ada@example.com", validPassword)
	a.expect(a.tryLogin("ada@example.com", "wrong password"), 401, "invalid_credentials")
	a.login("ada@example.com", validPassword)
}

func TestConcurrentGuessesAreCounted(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	var wg sync.WaitGroup
	statuses := make(chan int, 40)
	for range cap(statuses) {
		wg.Go(func() { statuses <- a.tryLogin("ada@example.com", "wrong password").status })
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	// There are two slots, so one attempt more than the five can be checked concurrently.
	if count[401] < 5 || count[401] > 6 || count[401]+count[429] != 40 {
		t.Errorf("responses by status: %v, want 5 or 6 of 401 and the rest 429", count)
	}
}

func TestReuseOfRefreshTokenRevokesFamily(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	first, other := a.login("ada@example.com", validPassword), a.login("ada@example.com", validPassword)
	second := sessionOf(a.expect(a.refresh(first.refresh), 200, ""))
	if second.refresh == first.refresh || second.access == "" {
		t.Errorf("the session was not renewed: %+v", second)
	}
	third := sessionOf(a.expect(a.refresh(second.refresh), 200, ""))
	a.expect(a.refresh(first.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(third.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(other.refresh), 200, "")
	a.expect(a.refresh("unknown"), 401, "invalid_refresh_token")
	a.expect(a.do("POST", "/auth/refresh", "", `{"refreshToken":""}`), 422, "invalid_request")
}

func TestReuseWithinTheGracePeriodGetsTheSameToken(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.accounts.RefreshGrace = 10 * time.Second
	a.register("ada@example.com")
	var first session
	again := func(status int, headers ...string) session {
		t.Helper()
		body := object("refreshToken", first.refresh)
		return sessionOf(a.expect(a.do("POST", "/auth/refresh", "", body, headers...), status, map[int]string{401: "invalid_refresh_token"}[status]))
	}
	for what, late := range map[string]func(){
		"after the grace period": func() { a.clock.advance(10 * time.Second); again(401) },
		"another address":        func() { again(401, "X-Forwarded-For", "203.0.113.7") },
		"another browser":        func() { again(401, "User-Agent", "other") },
		"after a logout":         func() { a.do("POST", "/auth/logout", "", object("refreshToken", first.refresh)); again(401) },
		"without a grace period": func() { a.accounts.RefreshGrace = 0; again(401); a.accounts.RefreshGrace = 10 * time.Second },
		"by a user who is disabled": func() {
			if err := a.db.Exec("UPDATE users SET disabled = TRUE WHERE email = 'ada@example.com'").Error; err != nil {
				t.Fatal(err)
			}
			again(401)
			if err := a.db.Exec("UPDATE users SET disabled = FALSE").Error; err != nil {
				t.Fatal(err)
			}
		},
	} {
		first = a.login("ada@example.com", validPassword)
		second := again(200)
		a.clock.advance(9 * time.Second)
		if repeated := again(200); repeated.refresh != second.refresh || repeated.access == "" {
			t.Errorf("%s: the reuse got another refresh token", what)
		}
		late()
		a.expect(a.refresh(second.refresh), 401, "invalid_refresh_token") // with its family
	}
}

func TestConcurrentRefreshesOfOneClientGetOneToken(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.accounts.RefreshGrace = 10 * time.Second
	a.register("ada@example.com")
	s := a.login("ada@example.com", validPassword)
	got := make(chan string, 8)
	var wg sync.WaitGroup
	for range cap(got) {
		wg.Go(func() { got <- sessionOf(a.refresh(s.refresh)).refresh })
	}
	wg.Wait()
	close(got)
	next := <-got
	for other := range got {
		if other != next || next == "" {
			t.Errorf("refresh tokens %q and %q, want one", next, other)
		}
	}
	a.expect(a.refresh(next), 200, "")
}

func TestConcurrentRefreshesSucceedOnceAndRevokeFamily(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	s := a.login("ada@example.com", validPassword)
	responses := make(chan response, 8)
	var wg sync.WaitGroup
	for range cap(responses) {
		wg.Go(func() { responses <- a.refresh(s.refresh) })
	}
	wg.Wait()
	close(responses)
	var sessions []session
	for got := range responses {
		switch got.status {
		case 200:
			sessions = append(sessions, sessionOf(got))
		case 401:
		default:
			t.Errorf("got %d %v", got.status, got.body)
		}
	}
	if len(sessions) != 1 {
		t.Fatalf("%d refreshes succeeded, want 1", len(sessions))
	}
	a.expect(a.refresh(sessions[0].refresh), 401, "invalid_refresh_token")
}

func TestRefreshTokensExpire(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	s := a.login("ada@example.com", validPassword)
	a.clock.advance(24*time.Hour - time.Second)
	s = sessionOf(a.expect(a.refresh(s.refresh), 200, ""))
	a.clock.advance(24 * time.Hour)
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	valid := a.login("ada@example.com", validPassword)
	if err := a.accounts.Store.DeleteExpired(t.Context(), a.clock.Now()); err != nil {
		t.Errorf("DeleteExpired: %v", err)
	}
	var left int64
	if err := a.db.Table("refresh_tokens").Count(&left).Error; err != nil || left != 1 {
		t.Errorf("%d tokens are left, error %v; want the valid one alone", left, err)
	}
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(valid.refresh), 200, "")
}

func TestLogoutRevokesSessionAndIsIdempotent(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	s, other := a.login("ada@example.com", validPassword), a.login("ada@example.com", validPassword)
	for range 2 {
		a.expect(a.do("POST", "/auth/logout", "", object("refreshToken", s.refresh)), 204, "")
	}
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(other.refresh), 200, "")
	a.expect(a.do("POST", "/auth/logout", "", `{}`), 422, "invalid_request")
}

func TestPasswordChangeRevokesAllSessions(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	s, other := a.login("ada@example.com", validPassword), a.login("ada@example.com", validPassword)
	bearer := "Bearer " + s.access
	const next = "staple battery horse"
	change := func(auth, current, next string) response {
		return a.do("PUT", "/auth/password", auth, object("currentPassword", current, "newPassword", next))
	}
	a.expect(change("", validPassword, next), 401, "unauthenticated")
	a.expect(change(bearer, "wrong password", next), 401, "invalid_credentials")
	expectStrings(t, "common", []string{"body.newPassword"}, locations(a.expect(change(bearer, validPassword, "password1"), 422, "invalid_request")))
	a.expect(change(bearer, validPassword, next), 204, "")
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(other.refresh), 401, "invalid_refresh_token")
	a.expect(a.tryLogin("ada@example.com", validPassword), 401, "invalid_credentials")
	a.login("ada@example.com", next)
}

func TestLoginRehashesPasswordAtConfiguredCost(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	s := a.login("ada@example.com", validPassword)
	costlier, err := password.NewHasher(password.MinCost+1, 2, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	a.accounts.Hasher = costlier
	cost := func() int {
		u, err := a.accounts.Store.ByEmail(t.Context(), "ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		c, err := bcrypt.Cost(u.PasswordHash)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a.expect(a.tryLogin("ada@example.com", "wrong password"), 401, "invalid_credentials")
	if got := cost(); got != password.MinCost {
		t.Errorf("a wrong password changed the hash to cost %d", got)
	}
	a.login("ada@example.com", validPassword)
	if got := cost(); got != password.MinCost+1 {
		t.Errorf("the hash has cost %d after a login, want %d", got, password.MinCost+1)
	}
	a.login("ada@example.com", validPassword)
	a.expect(a.refresh(s.refresh), 200, "") // nothing but the hash has changed
}

func TestWrongCurrentPasswordsDelayPasswordChange(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.register("ada@example.com")
	body := object("currentPassword", "wrong password", "newPassword", "staple battery horse")
	for range 5 {
		a.expect(a.do("PUT", "/auth/password", a.clientToken(id), body), 401, "invalid_credentials")
	}
	a.expect(a.do("PUT", "/auth/password", a.clientToken(id), body), 429, "too_many_attempts")
}

func TestManagersReadAndDisableAccounts(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.register("ada@example.com")
	path := fmt.Sprintf("/auth/users/%d", id)
	s := a.login("ada@example.com", validPassword)

	a.expect(a.do("GET", path, "", ""), 401, "unauthenticated")
	a.expect(a.do("GET", path, a.clientToken(id), ""), 403, "forbidden")
	a.expect(a.do("GET", path, a.manager, ""), 200, "")
	a.expect(a.do("GET", "/auth/users/999999", a.manager, ""), 404, "user_not_found")
	a.expect(a.do("GET", "/auth/users/x", a.manager, ""), 422, "invalid_request")

	a.expect(a.do("PATCH", path, "", `{"disabled":true}`), 401, "unauthenticated")
	a.expect(a.do("PATCH", path, a.clientToken(id), `{"disabled":true}`), 403, "forbidden")
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":"yes"}`), 422, "invalid_request")
	a.expect(a.do("PATCH", path, a.manager, `{}`), 422, "invalid_request")
	a.expect(a.do("PATCH", "/auth/users/999999", a.manager, `{"disabled":true}`), 404, "user_not_found")
	if got := a.expect(a.do("PATCH", path, a.manager, `{"disabled":true}`), 200, ""); got.body["disabled"] != true {
		t.Errorf("user %v", got.body)
	}
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	a.expect(a.tryLogin("ada@example.com", validPassword), 403, "account_disabled")
	a.expect(a.tryLogin("ada@example.com", "wrong password"), 401, "invalid_credentials")
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":false}`), 200, "")
	a.login("ada@example.com", validPassword)
}

func TestManagerCannotDisableOwnAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	me := a.expect(a.do("GET", "/auth/me", a.manager, ""), 200, "")
	path := fmt.Sprintf("/auth/users/%.0f", me.body["id"])
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":true}`), 409, "last_manager")
	id, _ := a.newManager("other@example.com")
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":true}`), 409, "own_account")
	a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%d", id), a.manager, `{"disabled":true}`), 200, "")
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":true}`), 409, "last_manager")
}

// newManager registers a manager and returns its id and Authorization.
func (a *auth) newManager(email string) (id int64, authorization string) {
	a.t.Helper()
	got := a.expect(a.do("POST", "/auth/register/manager", a.manager,
		object("username", "Other", "email", email, "password", validPassword)), 201, "")
	number, _ := got.body["id"].(float64)
	return int64(number), "Bearer " + a.login(email, validPassword).access
}

func TestTokenOfDisabledOrDemotedManagerChangesNoAccounts(t *testing.T) {
	t.Parallel()
	for change, code := range map[string]string{"disabled = TRUE": "account_disabled", "role = 'Client'": "forbidden"} {
		a := start(t)
		client := a.register("ada@example.com")
		id, former := a.newManager("other@example.com")
		if err := a.db.Exec("UPDATE users SET "+change+" WHERE id = ?", id).Error; err != nil {
			t.Fatal(err)
		}
		a.expect(a.do("POST", "/auth/register/manager", former,
			object("username", "Third", "email", "third@example.com", "password", validPassword)), 403, code)
		a.expect(a.do("POST", "/auth/register/manager", former,
			object("username", "Ada", "email", "ada@example.com", "password", validPassword)), 403, code)
		a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%d", id), former, `{"disabled":false}`), 403, code)
		a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%d", id), former, `{"disabled":true}`), 403, code)
		a.expect(a.do("PATCH", "/auth/users/1", former, `{"disabled":true}`), 403, code)
		a.expect(a.do("PATCH", "/auth/users/999999", former, `{"disabled":true}`), 403, code)
		a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%d", client), former, `{"disabled":true}`), 403, code)
	}
}

// TestManagerIsCheckedWhenTheAccountIsStored disables the manager between the first check and the
// transaction, while the password is hashed.
func TestManagerIsCheckedWhenTheAccountIsStored(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, _ := a.newManager("other@example.com")
	if err := a.db.Exec("UPDATE users SET disabled = TRUE WHERE id = ?", id).Error; err != nil {
		t.Fatal(err)
	}
	u := account.User{Username: "Third", Email: "third@example.com", Role: authn.Manager, CreatedAt: a.clock.Now()}
	if _, err := a.accounts.Store.Create(t.Context(), u, id, idempotency.Request{}); !errors.Is(err, account.ErrAccountDisabled) {
		t.Errorf("got %v, want ErrAccountDisabled", err)
	}
	if _, err := a.accounts.Store.ByEmail(t.Context(), u.Email); !errors.Is(err, account.ErrUserNotFound) {
		t.Errorf("got %v, want ErrUserNotFound", err)
	}
}

func TestOneOfTwoManagersWhoDisableEachOtherStaysEnabled(t *testing.T) {
	t.Parallel()
	a := start(t)
	for i := range 8 {
		first, firstToken := a.newManager(fmt.Sprintf("first%d@example.com", i))
		second, secondToken := a.newManager(fmt.Sprintf("second%d@example.com", i))
		var got [2]response
		var wg sync.WaitGroup
		wg.Go(func() { got[0] = a.do("PATCH", fmt.Sprintf("/auth/users/%d", second), firstToken, `{"disabled":true}`) })
		wg.Go(func() { got[1] = a.do("PATCH", fmt.Sprintf("/auth/users/%d", first), secondToken, `{"disabled":true}`) })
		wg.Wait()
		if got[0].status > got[1].status {
			got[0], got[1] = got[1], got[0]
		}
		a.expect(got[0], 200, "")
		a.expect(got[1], 403, "account_disabled")
	}
}

func TestAccountsAreListedInPages(t *testing.T) {
	t.Parallel()
	a := start(t)
	for i := range 4 {
		a.register(fmt.Sprintf("user%d@example.com", i))
	}
	var seen []string
	path := "/auth/users?limit=2"
	for pages := 1; ; pages++ {
		got := a.expect(a.do("GET", path, a.manager, ""), 200, "")
		for _, u := range got.body["items"].([]any) {
			seen = append(seen, u.(map[string]any)["email"].(string))
		}
		next, more := got.body["nextCursor"].(string)
		if !more {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		path = "/auth/users?limit=2&cursor=" + next
	}
	expectStrings(t, "users", []string{managerEmail, "user0@example.com", "user1@example.com", "user2@example.com", "user3@example.com"}, seen)
	expectStrings(t, "cursor", []string{"query.cursor"}, locations(a.expect(a.do("GET", "/auth/users?cursor=x", a.manager, ""), 422, "invalid_request")))
	expectStrings(t, "limit", []string{"query.limit"}, locations(a.expect(a.do("GET", "/auth/users?limit=0", a.manager, ""), 422, "invalid_request")))
	a.expect(a.do("GET", "/auth/users", "", ""), 401, "unauthenticated")
	a.expect(a.do("GET", "/auth/users", a.clientToken(1), ""), 403, "forbidden")
}

func TestEnsureManagerCreatesOneAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := a.accounts.EnsureManager(t.Context(), "second@example.com", validPassword); err != nil {
				t.Errorf("EnsureManager: %v", err)
			}
		})
	}
	wg.Wait()
	if err := a.accounts.EnsureManager(t.Context(), managerEmail, "another password"); err != nil {
		t.Errorf("EnsureManager: %v", err)
	}
	a.login(managerEmail, validPassword)
	if err := a.accounts.EnsureManager(t.Context(), "weak@example.com", "password"); err == nil {
		t.Error("a common password was accepted")
	}
}

func TestPublicKeysHaveNoSecrets(t *testing.T) {
	t.Parallel()
	a := start(t)
	got := a.expect(a.do("GET", "/.well-known/jwks.json", "", ""), 200, "")
	raw, err := json.Marshal(got.body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"kid":"test-1"`) || strings.Contains(string(raw), `"d"`) {
		t.Errorf("keys: %s", raw)
	}
	if ct := got.header.Get("Content-Type"); ct != "application/jwk-set+json" {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestUnavailableDatabaseIs503(t *testing.T) {
	t.Parallel()
	a := serve(t, "user:password@tcp(127.0.0.1:1)/schema", "")
	a.manager = a.keys.Bearer(t, 1, authn.Manager)
	for _, got := range []response{
		a.tryLogin("ada@example.com", validPassword),
		a.refresh("x"),
		a.do("POST", "/auth/logout", "", object("refreshToken", "x")),
		a.do("POST", "/auth/register/user", "", object("username", "a", "email", "a@b.de", "password", validPassword)),
		a.do("PUT", "/auth/password", a.manager, object("currentPassword", validPassword, "newPassword", "staple battery horse")),
		a.do("GET", "/auth/me", a.manager, ""),
		a.do("GET", "/auth/users", a.manager, ""),
		a.do("PATCH", "/auth/users/2", a.manager, `{"disabled":true}`),
	} {
		a.expect(got, http.StatusServiceUnavailable, "unavailable")
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func histogramCount(t *testing.T, reg *prometheus.Registry, name string) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestDisablingRevokesAccessTokens(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.register("ada@example.com")
	generation := func(access string) int64 {
		t.Helper()
		p, err := a.keys.Verifier(t).Verify(access)
		if err != nil {
			t.Fatal(err)
		}
		return p.Generation
	}
	expect := func(when string, ttl time.Duration, want ...authn.Revocation) {
		t.Helper()
		got, err := a.accounts.Store.Revocations(t.Context(), ttl)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", when, got, err, want)
		}
	}
	before := a.login("ada@example.com", validPassword)
	refreshed := sessionOf(a.expect(a.refresh(before.refresh), 200, ""))
	if first, second := generation(before.access), generation(refreshed.access); first != 0 || second != 0 {
		t.Errorf("generations %d and %d of a new account, want 0", first, second)
	}
	expect("before", time.Minute)
	path := fmt.Sprintf("/auth/users/%d", id)
	for range 2 { // The second time changes nothing.
		a.expect(a.do("PATCH", path, a.manager, `{"disabled":true}`), 200, "")
		expect("disabled", time.Minute, authn.Revocation{UserID: id, Generation: 1, Disabled: true})
	}
	a.expect(a.do("PATCH", path, a.manager, `{"disabled":false}`), 200, "")
	expect("enabled", time.Minute, authn.Revocation{UserID: id, Generation: 1})
	after := a.login("ada@example.com", validPassword)
	if got := generation(after.access); got != 1 {
		t.Errorf("generation %d of a token that was issued after the account was disabled, want 1", got)
	}
	if got := generation(sessionOf(a.expect(a.refresh(after.refresh), 200, "")).access); got != 1 {
		t.Errorf("generation %d of a token after a refresh, want 1", got)
	}

	// Only revocations within the lifetime of tokens are in the list, and of them the newest.
	if err := a.db.Exec("UPDATE users SET tokens_revoked_at = NOW(6) - INTERVAL 10 MINUTE WHERE id = ?", id).Error; err != nil {
		t.Fatal(err)
	}
	expect("after the lifetime of tokens", 9*time.Minute)
	expect("within the lifetime of tokens", 11*time.Minute, authn.Revocation{UserID: id, Generation: 1})
	err := a.db.Exec(`INSERT INTO users (username, email, password_hash, role, created_at, token_generation, tokens_revoked_at)
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
		SELECT 'x', CONCAT(a.n, '-', b.n, '@example.org'), 'x', 'Client', NOW(6), 1, NOW(6) FROM numbers a JOIN numbers b ON b.n <= 10`).Error
	if err != nil {
		t.Fatal(err)
	}
	newest, err := a.accounts.Store.Revocations(t.Context(), time.Hour)
	if err != nil || len(newest) != authn.MaxRevocations || slices.ContainsFunc(newest, func(r authn.Revocation) bool { return r.UserID == id }) {
		t.Errorf("%d revocations, %v, want the newest %d", len(newest), err, authn.MaxRevocations)
	}
}
