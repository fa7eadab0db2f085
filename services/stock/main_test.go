package main

import (
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/config"
)

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	right := func() map[string]string {
		return map[string]string{"MYSQL_DSN": "u:p@tcp(db)/s", "AMQP_URL": "amqp://u:p@mq/v", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "JWT_KEYS_FILE": "f"}
	}
	if _, err := config.LoadFrom[settings](right()); err != nil {
		t.Fatalf("right settings are refused: %v", err)
	}
	for what, wrong := range map[string][2]string{
		"CURRENCY is no ISO 4217 code": {"CURRENCY", "EURO"},
		"MYSQL_DSN is empty":           {"MYSQL_DSN", ""},
	} {
		environment := right()
		environment[wrong[0]] = wrong[1]
		if _, err := config.LoadFrom[settings](environment); err == nil || !strings.Contains(err.Error(), wrong[0]) {
			t.Errorf("%s: %v, want an error that names %s", what, err, wrong[0])
		}
	}
}
