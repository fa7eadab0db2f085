package main

import (
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/config"
)

func TestInvalidSettingsAreNamed(t *testing.T) {
	t.Parallel()
	valid := func() map[string]string {
		return map[string]string{"MYSQL_DSN": "u:p@tcp(db)/s", "AMQP_URL": "amqp://u:p@mq/v", "REVOCATIONS_URL": "http://auth:9090/revocations",
			"RESERVATIONS_URL": "http://stock:9090/reservations",
			"JWT_ISSUER":       "i", "JWT_AUDIENCE": "a", "JWT_KEYS_FILE": "f"}
	}
	if _, err := config.LoadFrom[settings](valid()); err != nil {
		t.Fatalf("valid settings are rejected: %v", err)
	}
	for what, invalid := range map[string][2]string{
		"CURRENCY is not an ISO 4217 code": {"CURRENCY", "EURO"},
		"HOLD_TTL is not above 0":          {"HOLD_TTL", "0s"},
		"RECONCILE_AFTER is below 1s":      {"RECONCILE_AFTER", "999ms"},
		"RECONCILE_AFTER is above 1h":      {"RECONCILE_AFTER", "61m"},
		"MYSQL_DSN is empty":               {"MYSQL_DSN", ""},
	} {
		environment := valid()
		environment[invalid[0]] = invalid[1]
		if _, err := config.LoadFrom[settings](environment); err == nil || !strings.Contains(err.Error(), invalid[0]) {
			t.Errorf("%s: %v, want an error that names %s", what, err, invalid[0])
		}
	}
}
