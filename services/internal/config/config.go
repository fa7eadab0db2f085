// Package config reads a program's settings from its environment, all at once, so
// that one start tells everything that is wrong with them. No error repeats a
// value: it may be a secret.
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

// Secret is text that no log, error or JSON document shows.
type Secret string

const redacted = "[redacted]"

// Reveal gives the text itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (Secret) String() string { return redacted }

// GoString hides the text from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the text from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the text from JSON and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Checker is implemented by settings with rules that span fields, or that a type
// does not say. Check names the variable in its error and never the value.
type Checker interface {
	Check() error
}

// Load reads T's fields, tagged as in caarlos0/env, from the environment, and then
// asks T itself if it is a Checker. The error names every variable that is wrong.
func Load[T any]() (T, error) {
	return load[T](env.Options{})
}

// LoadFrom is Load with the given variables in place of the environment's.
func LoadFrom[T any](environment map[string]string) (T, error) {
	return load[T](env.Options{Environment: environment})
}

func load[T any](opts env.Options) (T, error) {
	var settings T
	var wrong []string
	if err := env.ParseWithOptions(&settings, opts); err != nil {
		wrong = append(wrong, explainAll(err, reflect.TypeFor[T]())...)
	}
	if c, ok := any(&settings).(Checker); ok && len(wrong) == 0 {
		if err := c.Check(); err != nil {
			wrong = append(wrong, strings.Split(err.Error(), "\n")...)
		}
	}
	if len(wrong) > 0 {
		return settings, fmt.Errorf("wrong settings: %s", strings.Join(wrong, "; "))
	}
	return settings, nil
}

func explainAll(err error, settings reflect.Type) []string {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []string{"the environment cannot be read"}
	}
	lines := make([]string, 0, len(all.Errors))
	for _, e := range all.Errors {
		lines = append(lines, explain(e, settings))
	}
	return lines
}

func explain(err error, settings reflect.Type) string {
	var missing env.VarIsNotSetError
	var empty env.EmptyVarError
	var parse env.ParseError
	switch {
	case errors.As(err, &missing):
		return missing.Key + " is not set"
	case errors.As(err, &empty):
		return empty.Key + " is empty"
	case errors.As(err, &parse):
		return variable(parse.Name, settings) + " is not " + form(parse.Type)
	}
	return "the environment cannot be read"
}

// variable finds the name a field is set by. Fields of one name in two nested
// structs are not told apart.
func variable(field string, in reflect.Type) string {
	for i := range in.NumField() {
		f := in.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if f.Name == field && name != "" {
			return name
		}
		if f.Type.Kind() == reflect.Struct && name == "" {
			if found := variable(field, f.Type); found != "" {
				return found
			}
		}
	}
	return ""
}

func form(t reflect.Type) string {
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
		return "a whole number from 0 up"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a comma separated list, each " + form(t.Elem())
	}
	if e, ok := reflect.New(t).Interface().(interface{ Expected() string }); ok {
		return e.Expected()
	}
	if _, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		return "a valid " + t.Name()
	}
	return "valid"
}
