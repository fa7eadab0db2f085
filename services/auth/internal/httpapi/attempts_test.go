package httpapi_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is the origin of a login.
type client struct{ address, cookie string }

func (a *auth) loginFrom(c client, email, text string) response {
	a.t.Helper()
	header := []string{"X-Forwarded-For", c.address}
	if c.cookie != "" {
		header = append(header, "Cookie", "other=x; device="+c.cookie)
	}
	return a.do("POST", "/auth/login", "", object("email", email, "password", text), header...)
}

// deviceOf returns the cookie in a response.
func (a *auth) deviceOf(got response) *http.Cookie {
	a.t.Helper()
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil {
		a.t.Fatalf("Set-Cookie %q: %v", got.header.Get("Set-Cookie"), err)
	}
	return cookie
}

// attack sends five failing logins from each of n addresses.
func (a *auth) attack(n int, email string) {
	a.t.Helper()
	for i := range n {
		for range 5 {
			a.expect(a.loginFrom(client{address: fmt.Sprintf("198.51.100.%d", i)}, email, "wrong password"), 401, "invalid_credentials")
		}
	}
}

// wait advances the clock by the Retry-After of a response, and returns it.
func (a *auth) wait(rejected response) time.Duration {
	a.t.Helper()
	seconds, err := strconv.Atoi(a.expect(rejected, 429, "too_many_attempts").header.Get("Retry-After"))
	if err != nil {
		a.t.Fatalf("Retry-After: %v", err)
	}
	a.clock.advance(time.Duration(seconds) * time.Second)
	return time.Duration(seconds) * time.Second
}

const owner, attacker = "203.0.113.1", "198.51.100.1"

func TestSingleAttackerDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	checked := 0 // of one attempt per second
	for second := range 600 {
		if a.loginFrom(client{address: attacker}, "ada@example.com", "wrong password").status == 401 {
			checked++
		}
		if second%30 == 0 {
			a.expect(a.loginFrom(client{address: owner}, "ada@example.com", validPassword), 200, "")
		}
		a.clock.advance(time.Second)
	}
	if checked > 20 {
		t.Errorf("%d guesses were checked in ten minutes, want at most 20", checked)
	}
	a.expect(a.loginFrom(client{address: attacker}, "ada@example.com", validPassword), 429, "too_many_attempts")
}

func TestKnownDeviceIsNotDelayedByOthers(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	known := a.deviceOf(a.loginFrom(client{address: owner}, "ada@example.com", validPassword)).Value
	a.attack(20, "ada@example.com")
	a.expect(a.loginFrom(client{address: "192.0.2.1"}, "ada@example.com", validPassword), 429, "too_many_attempts")
	for _, address := range []string{owner, attacker} {
		got := a.expect(a.loginFrom(client{address, known}, "ADA@example.com", validPassword), 200, "")
		known = a.deviceOf(got).Value
	}
	if next := a.deviceOf(a.loginFrom(client{owner, known}, "ada@example.com", validPassword)).Value; next[:20] != known[:20] {
		t.Errorf("the device changed from %s to %s", known, next)
	}

	for range 5 {
		a.expect(a.loginFrom(client{owner, known}, "ada@example.com", "wrong password"), 401, "invalid_credentials")
	}
	a.expect(a.loginFrom(client{"192.0.2.1", known}, "ada@example.com", validPassword), 429, "too_many_attempts")
	a.clock.advance(15 * time.Second)
	a.expect(a.loginFrom(client{address: owner}, "ada@example.com", validPassword), 200, "") // the failures of the device are counted separately
}

func TestNewDeviceIsDelayedBrieflyDuringDistributedAttack(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	a.attack(20, "ada@example.com")
	try := func(address, text string) response {
		return a.loginFrom(client{address: address}, "ada@example.com", text)
	}
	for range 2 {
		if wait := a.wait(try(owner, validPassword)); wait > 15*time.Second {
			t.Errorf("wait %s, want at most 15 s", wait)
		}
		a.expect(try(owner, "wrong password"), 401, "invalid_credentials")
	}
	a.wait(try(owner, validPassword))
	a.expect(try(owner, validPassword), 200, "")
	a.expect(try("192.0.2.1", "wrong password"), 401, "invalid_credentials")
	a.expect(try("192.0.2.2", "wrong password"), 429, "too_many_attempts") // the login did not refill the allowance
}

func TestInvalidDeviceCookieIsIgnored(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	a.register("eve@example.com")
	expired := a.deviceOf(a.loginFrom(client{address: owner}, "ada@example.com", validPassword)).Value
	a.clock.advance(180 * 24 * time.Hour)
	valid := a.deviceOf(a.loginFrom(client{address: owner}, "ada@example.com", validPassword)).Value
	foreign := a.deviceOf(a.loginFrom(client{address: attacker}, "eve@example.com", validPassword)).Value
	for range 5 {
		a.expect(a.loginFrom(client{address: attacker}, "ada@example.com", "wrong password"), 401, "invalid_credentials")
	}
	for name, cookie := range map[string]string{
		"foreign": foreign, "expired": expired, "forged": valid[:70] + "AAAAAA", "malformed": "x", "quoted": `"x"`,
		"long": strings.Repeat("x", 600), "empty": `""`,
	} {
		t.Log(name)
		a.expect(a.loginFrom(client{attacker, cookie}, "ada@example.com", validPassword), 429, "too_many_attempts")
		a.expect(a.loginFrom(client{owner, cookie}, "ada@example.com", validPassword), 200, "")
	}
}

func TestDeviceCookieIsSentOnlyToLogin(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	for proto, secure := range map[string]bool{"http": false, "https": true} {
		got := a.expect(a.do("POST", "/auth/login", "", object("email", "ada@example.com", "password", validPassword), "X-Forwarded-Proto", proto), 200, "")
		c := a.deviceOf(got)
		if c.Name != "device" || c.Path != "/auth/login" || c.MaxAge != 180*24*3600 || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" {
			t.Errorf("cookie %+v", c)
		}
		if c.Secure != secure {
			t.Errorf("over %s: Secure %v", proto, c.Secure)
		}
		if again := a.expect(a.refresh(sessionOf(got).refresh), 200, "").header.Get("Set-Cookie"); again != "" {
			t.Errorf("a refresh sets %q", again)
		}
	}
}

func TestDelaysDoNotRevealWhichEmailsHaveAccounts(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	responses := func(email string) (all []string) {
		try := func(address string) {
			got := a.loginFrom(client{address: address}, email, "wrong password")
			all = append(all, fmt.Sprintf("%d %v %s%s", got.status, got.body["code"], got.header.Get("Retry-After"), got.header.Get("Set-Cookie")))
		}
		for i := range 21 {
			for range 5 {
				try(fmt.Sprintf("198.51.100.%d", i))
			}
		}
		return all
	}
	known, unknown := responses("ada@example.com"), responses("nobody@example.com")
	expectStrings(t, "responses for an unknown email", known, unknown)
	if want := "429 too_many_attempts 15"; known[104] != want {
		t.Errorf("the last response is %q, want %q", known[104], want)
	}
}

func TestPasswordChangesAndLoginsAreCountedSeparately(t *testing.T) {
	t.Parallel()
	a := start(t)
	token := a.clientToken(a.register("ada@example.com"))
	change := func(current string) response {
		return a.do("PUT", "/auth/password", token, object("currentPassword", current, "newPassword", "staple battery horse"))
	}
	for range 5 {
		a.expect(change("wrong password"), 401, "invalid_credentials")
	}
	a.login("ada@example.com", validPassword)
	a.wait(change(validPassword))
	a.attack(20, "ada@example.com")
	a.expect(change(validPassword), 204, "")
}

func TestOnlySingleForwardedAddressIsUsed(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, forwarded := range []string{"192.0.2.1, 192.0.2.2", "unknown", "", "192.0.2.1:80", "127.0.0.1"} {
		a.expect(a.loginFrom(client{address: forwarded}, "ada@example.com", "wrong password"), 401, "invalid_credentials")
	}
	a.expect(a.tryLogin("ada@example.com", "wrong password"), 429, "too_many_attempts") // all were counted for the peer
	a.expect(a.loginFrom(client{address: "192.0.2.1"}, "ada@example.com", "wrong password"), 401, "invalid_credentials")
}

func TestConcurrentFailuresAreAllCounted(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.register("ada@example.com")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 5 {
				a.expect(a.loginFrom(client{address: fmt.Sprintf("198.51.100.%d", i)}, "ada@example.com", "wrong password"), 401, "invalid_credentials")
			}
		})
	}
	wg.Wait()
	for i := range 20 {
		a.expect(a.loginFrom(client{address: fmt.Sprintf("198.51.100.%d", i)}, "ada@example.com", "wrong password"), 429, "too_many_attempts")
	}
	a.expect(a.loginFrom(client{address: owner}, "ada@example.com", validPassword), 429, "too_many_attempts") // exactly 100
}

func TestCountsWithoutEffectAreDeleted(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.attack(3, "nobody@example.com")
	rows := func() (n int64) {
		if err := a.db.Table("login_attempts").Count(&n).Error; err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		pass time.Duration
		want int64
	}{{0, 4}, {time.Hour, 4}, {time.Second, 0}} { // three addresses and the account
		a.clock.advance(step.pass)
		if err := a.accounts.Store.DeleteExpired(t.Context(), a.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if got := rows(); got != step.want {
			t.Errorf("%d rows, want %d", got, step.want)
		}
	}
}
