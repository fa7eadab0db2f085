package mysql_test

import (
	"testing"

	"ecommerce-stack.dev/operator/internal/mysql"
)

func TestAccountNamesAreUniqueWithinTheLengthLimit(t *testing.T) {
	t.Parallel()
	if got, want := mysql.AccountName("users_auth_service", "owner"), "users_auth_service_owner"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for _, schema := range []string{"a_prefix_of_23_letters_users_auth_service", "a_prefix_of_23_letters_users_auth_servicf"} {
		for _, suffix := range []string{"owner", "rw"} {
			name := mysql.AccountName(schema, suffix)
			if len(name) > 32 || seen[name] {
				t.Errorf("%s is longer than 32 characters or not unique", name)
			}
			seen[name] = true
		}
	}
}
