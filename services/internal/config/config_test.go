package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/config"
)

type inner struct {
	Addr  string        `env:"HTTP_ADDR" envDefault:":5004"`
	Delay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s"`
}

type settings struct {
	Server inner
	DSN    config.Secret `env:"MYSQL_DSN,required,notEmpty"`
	Cost   int           `env:"BCRYPT_COST" envDefault:"12"`
	List   []string      `env:"CORS_ORIGINS"`
}

func (s settings) Check() error {
	if s.Cost < 4 || s.Cost > 31 {
		return errors.New("BCRYPT_COST is not from 4 to 31")
	}
	return nil
}

func TestUnsetVariablesHaveDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadFrom[settings](map[string]string{"MYSQL_DSN": "u:p@/s", "CORS_ORIGINS": "a,b"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Server.Addr != ":5004" || got.Cost != 12 || got.DSN.Reveal() != "u:p@/s" || len(got.List) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestErrorNamesEveryInvalidVariableWithoutValues(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[settings](map[string]string{"SHUTDOWN_DELAY": "hunter2", "BCRYPT_COST": "hunter3"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"SHUTDOWN_DELAY is not a duration", "BCRYPT_COST is not a whole number", "MYSQL_DSN is not set"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("the error contains a value: %q", err)
	}
}

func TestLoadCallsCheck(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[settings](map[string]string{"MYSQL_DSN": "x", "BCRYPT_COST": "99"})
	if err == nil || !strings.Contains(err.Error(), "BCRYPT_COST is not from 4 to 31") {
		t.Errorf("got error %v", err)
	}
}

func TestSecretIsRedacted(t *testing.T) {
	t.Parallel()
	s := struct{ Password config.Secret }{"hunter2"}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s, s), string(asJSON)} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("text: %s", text)
		}
	}
}
