package problem

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// Limits of what an answer repeats of a request: names of fields and paths are the
// client's, so a large request must not make a large answer.
const (
	maxFields   = 50
	maxLocation = 200
)

func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := fromHuma(status, msg, errs)
		for name, values := range p.headers {
			ctx.SetHeader(name, values[0])
		}
		return p
	}
	huma.DefaultArrayNullable = false
	// Go's decoder matches names in any case; a client that writes "ProductID" should
	// learn of it instead of depending on it.
	huma.ValidateStrictCasing = true
}

// fromHuma gives huma's own refusals our form. A handler's error that is not a
// Problem arrives here as a 500 with the error in errs.
func fromHuma(status int, msg string, errs []error) *Problem {
	switch status {
	case 0:
		return &Problem{} // huma asks for the type, to document it
	case http.StatusInternalServerError:
		return internal(msg, errs)
	case http.StatusRequestEntityTooLarge:
		return New(status, "", "The body exceeds the limit for this operation.")
	case http.StatusRequestTimeout:
		return New(status, "", "The body did not arrive in time.")
	case http.StatusUnsupportedMediaType:
		return New(status, "", "Send JSON, with Content-Type: application/json.")
	case http.StatusBadRequest:
		if len(errs) == 0 {
			return New(status, "", sentence(msg))
		}
		p := New(status, "malformed_json", "The body is not valid JSON.")
		p.Errors = fields(errs)
		return p
	case http.StatusUnprocessableEntity:
		p := Invalid()
		p.Errors = fields(errs)
		return p
	}
	return New(status, "", sentence(msg))
}

func internal(msg string, errs []error) *Problem {
	if msg == "cannot read request body" && !errors.As(errors.Join(errs...), new(*http.MaxBytesError)) {
		return New(http.StatusBadRequest, "", "The body ended early.")
	}
	if len(errs) == 0 {
		return From(errors.New(msg))
	}
	return From(errs[0])
}

func fields(errs []error) []FieldError {
	out := make([]FieldError, 0, len(errs))
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			out = append(out, FieldError{Location: "request", Message: "cannot be read"})
			continue
		}
		out = append(out, field(d.ErrorDetail()))
	}
	return tidy(out)
}

// field rewords what huma says of a value: a missing property is located where it
// should be, and a value of a wrong type is told its type, never its content.
func field(d *huma.ErrorDetail) FieldError {
	f := FieldError{Location: d.Location, Message: d.Message}
	var name string
	if _, err := fmt.Sscanf(d.Message, validation.MsgExpectedRequiredProperty, &name); err == nil {
		f.Location += "." + name
		f.Message = "is required"
	}
	if slices.Contains(typeMessages, d.Message) {
		f.Message += ", got " + jsonType(d.Value)
	}
	if d.Message == validation.MsgUnexpectedProperty {
		f.Message = "is not a field of this request"
	}
	return f
}

var typeMessages = []string{
	validation.MsgExpectedBoolean, validation.MsgExpectedNumber, validation.MsgExpectedInteger,
	validation.MsgExpectedString, validation.MsgExpectedArray, validation.MsgExpectedObject,
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}

// tidy sorts, clips and bounds the list. Where several rules are broken in one
// place, the vague ones about alternatives are left out.
func tidy(in []FieldError) []FieldError {
	slices.SortStableFunc(in, func(a, b FieldError) int { return strings.Compare(a.Location, b.Location) })
	out := make([]FieldError, 0, min(len(in), maxFields))
	for i, f := range in {
		if vague(f.Message) && hasOther(in, i) {
			continue
		}
		f.Location = clip(f.Location)
		if len(out) == maxFields {
			break
		}
		out = append(out, f)
	}
	return out
}

func vague(message string) bool {
	return message == validation.MsgExpectedMatchExactlyOneSchema || message == validation.MsgExpectedMatchAtLeastOneSchema
}

func hasOther(sorted []FieldError, i int) bool {
	return (i > 0 && sorted[i-1].Location == sorted[i].Location) ||
		(i+1 < len(sorted) && sorted[i+1].Location == sorted[i].Location)
}

func clip(s string) string {
	if len(s) <= maxLocation {
		return s
	}
	return strings.ToValidUTF8(s[:maxLocation], "") + "…"
}

func sentence(msg string) string {
	if msg == "" {
		return ""
	}
	return strings.ToUpper(msg[:1]) + strings.TrimSuffix(msg[1:], ".") + "."
}
