// Package config implements the loading of settings from environment variables. One error names all
// invalid variables. Errors do not contain values, because these may be secrets.
package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Secret is text that is redacted in logs, errors and JSON.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer. It returns a redacted text, as the other methods do.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Checker is implemented by settings with rules that their types do not express.
type Checker interface {
	// Check returns an error with one line for each violation. A line names the variable, and
	// does not contain the value.
	Check() error
}

// Load returns settings from the environment. The fields of T are tagged as in caarlos0/env. If they
// are valid and *T is a Checker, Load calls Check. The error names all invalid variables.
func Load[T any]() (T, error) {
	return load[T](env.Options{})
}

// LoadFrom is like Load, but with the given variables in place of the environment.
func LoadFrom[T any](environment map[string]string) (T, error) {
	return load[T](env.Options{Environment: environment})
}

func load[T any](opts env.Options) (T, error) {
	var settings T
	var violations []string
	if err := env.ParseWithOptions(&settings, opts); err != nil {
		violations = append(violations, messages(err, reflect.TypeFor[T]())...)
	}
	if c, ok := any(&settings).(Checker); ok && len(violations) == 0 {
		if err := c.Check(); err != nil {
			violations = append(violations, strings.Split(err.Error(), "\n")...)
		}
	}
	if len(violations) > 0 {
		return settings, fmt.Errorf("invalid settings: %s", strings.Join(violations, "; "))
	}
	return settings, nil
}

// messages returns a message for each invalid variable.
func messages(err error, settings reflect.Type) []string {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []string{"the environment is invalid"}
	}
	lines := make([]string, 0, len(all.Errors))
	for _, e := range all.Errors {
		lines = append(lines, message(e, settings))
	}
	return lines
}

// message returns the name of a variable and why it is invalid.
func message(err error, settings reflect.Type) string {
	var missing env.VarIsNotSetError
	var empty env.EmptyVarError
	var parse env.ParseError
	switch {
	case errors.As(err, &missing):
		return missing.Key + " is not set"
	case errors.As(err, &empty):
		return empty.Key + " is empty"
	case errors.As(err, &parse):
		return variableName(parse.Name, settings) + " is not " + expectedForm(parse.Type)
	}
	return "the environment is invalid"
}

// variableName returns the variable of a field, or "". If two nested structs have a field of the same
// name, it returns the first.
func variableName(field string, in reflect.Type) string {
	for i := range in.NumField() {
		f := in.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if f.Name == field && name != "" {
			return name
		}
		if f.Type.Kind() == reflect.Struct && name == "" {
			if found := variableName(field, f.Type); found != "" {
				return found
			}
		}
	}
	return ""
}

// expectedForm describes the values of a type.
func expectedForm(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 15s or 5m"
	case reflect.TypeFor[url.URL](), reflect.TypeFor[*url.URL]():
		return "a URL"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number of at least 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a comma-separated list, each " + expectedForm(t.Elem())
	}
	if e, ok := reflect.New(t).Interface().(interface{ Expected() string }); ok {
		return e.Expected()
	}
	if _, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		return "a valid " + t.Name()
	}
	return "valid"
}
