package problem

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"ecommerce-stack.dev/services/internal/failure"
)

// Limits of what a response repeats of its request, in fields and bytes: names and paths are
// chosen by the client, and a large request must not cause a large response.
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
	// Go's decoder matches names in any case. A client that sends "ProductID" gets an error, so
	// that no client depends on it.
	huma.ValidateStrictCasing = true
}

// fromHuma returns the problem for an error of huma. An error of a handler that is not a
// Problem is passed as a 500 with the error in errs.
func fromHuma(status int, msg string, errs []error) *Problem {
	switch status {
	case 0:
		return &Problem{} // huma calls it with 0 to learn the type
	case http.StatusInternalServerError:
		return internal(msg, errs)
	case http.StatusRequestEntityTooLarge:
		var limit int64
		_, _ = fmt.Sscanf(msg, "request body is too large limit=%d bytes", &limit) // else it is unknown
		return bodyTooLarge(limit)
	case http.StatusRequestTimeout:
		return New(status, "", "The body did not arrive in time. Send it again.")
	case http.StatusUnsupportedMediaType:
		return New(status, "", "The media type is not supported. Send JSON with Content-Type: application/json.")
	case http.StatusBadRequest:
		if len(errs) == 0 {
			return New(status, "", sentence(msg))
		}
		p := New(status, "malformed_json", "The body is not valid JSON. Correct it and try again.")
		if p.Errors = fields(errs); p.Errors[0].Message == NotUTF8 {
			invalid := InvalidUTF8()
			invalid.Errors = p.Errors
			return invalid
		}
		return p
	case http.StatusUnprocessableEntity:
		p := From(failure.InvalidFields())
		p.Errors = fields(errs)
		return p
	}
	return New(status, "", sentence(msg))
}

func internal(msg string, errs []error) *Problem {
	if msg == "cannot read request body" && !errors.As(errors.Join(errs...), new(*http.MaxBytesError)) {
		return New(http.StatusBadRequest, "", "The body is shorter than its Content-Length. Send it completely.")
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
			out = append(out, FieldError{Location: "request", Message: "is not valid"})
			continue
		}
		out = append(out, field(d.ErrorDetail()))
	}
	return compact(out)
}

// field returns an error of huma without the value: the location of a missing property is that of
// the property itself, and the message for a wrong type names the actual type.
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

// Null stands for null in a decoded body, as a value of no type.
type Null struct{}

func jsonType(v any) string {
	switch v.(type) {
	case nil, Null:
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

// compact sorts the list, and truncates it and its locations. If a value violates several rules,
// the unspecific ones about alternatives are omitted.
func compact(in []FieldError) []FieldError {
	slices.SortStableFunc(in, func(a, b FieldError) int { return strings.Compare(a.Location, b.Location) })
	out := make([]FieldError, 0, min(len(in), maxFields))
	for i, f := range in {
		if isUnspecific(f.Message) && hasOther(in, i) {
			continue
		}
		f.Location = truncate(f.Location)
		if len(out) == maxFields {
			break
		}
		out = append(out, f)
	}
	return out
}

func isUnspecific(message string) bool {
	return message == validation.MsgExpectedMatchExactlyOneSchema || message == validation.MsgExpectedMatchAtLeastOneSchema
}

// hasOther reports whether another error of a sorted list has the location of error i.
func hasOther(sorted []FieldError, i int) bool {
	return (i > 0 && sorted[i-1].Location == sorted[i].Location) ||
		(i+1 < len(sorted) && sorted[i+1].Location == sorted[i].Location)
}

func truncate(s string) string {
	if len(s) <= maxLocation {
		return s
	}
	return strings.ToValidUTF8(s[:maxLocation], "") + "…"
}

// sentence returns msg with a capital letter and a full stop.
func sentence(msg string) string {
	if msg == "" {
		return ""
	}
	return strings.ToUpper(msg[:1]) + strings.TrimSuffix(msg[1:], ".") + "."
}
