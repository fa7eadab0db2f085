package httpapi_test

import (
	"sync"
	"testing"
)

func TestRepeatedRegistrationCreatesOneAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	for path, authorization := range map[string]string{"/auth/register/user": "", "/auth/register/manager": a.manager} {
		email := path[len("/auth/register/"):] + "@example.com"
		register := func(username, password, key string) response {
			return a.do("POST", path, authorization, object("username", username, "email", email, "password", password), "Idempotency-Key", key)
		}
		first := a.expect(register("Ada", validPassword, "k"), 201, "")
		again := a.expect(register("Ada", validPassword, "k"), 201, "")
		if again.body["id"] != first.body["id"] || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: repeat %v %v, want %v", path, again.body, again.header, first.body)
		}
		a.expect(register("Bob", validPassword, "k"), 422, "idempotency_key_reused")
		a.expect(register("Ada", "another horse battery", "k"), 422, "idempotency_key_reused")
		a.expect(register("Ada", validPassword, "other"), 409, "email_taken")
	}
	// Users who register themselves do not know the keys of each other.
	a.expect(a.do("POST", "/auth/register/user", "", object("username", "Bob", "email", "bob@example.com", "password", validPassword), "Idempotency-Key", "k"), 201, "")
	var stored []string
	if err := a.db.Raw("SELECT response FROM requests WHERE response LIKE '%assword%'").Scan(&stored).Error; err != nil || len(stored) > 0 {
		t.Errorf("stored responses with a password: %v, %v", stored, err)
	}
}

func TestConcurrentRegistrationsWithOneKeyGetOneAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	ids := make(chan any, 6)
	var wg sync.WaitGroup
	for range cap(ids) {
		wg.Go(func() {
			got := a.do("POST", "/auth/register/user", "", object("username", "Ada", "email", "ada@example.com", "password", validPassword), "Idempotency-Key", "k")
			ids <- got.body["id"]
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first || id == nil {
			t.Errorf("accounts %v and %v, want one", first, id)
		}
	}
}
