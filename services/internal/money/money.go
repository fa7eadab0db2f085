// Package money implements amounts in the currency of the stack, as decimals with two places. In
// JSON an amount is a decimal string ("19.99"); requests may also use a number. In MySQL it is a
// DECIMAL of scale 2.
package money

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"
)

// Places is the number of decimal places.
const Places = 2

// maxIntegerDigits is the number of digits that Parse accepts before the point, so that every amount
// fits into DECIMAL(20,2).
const maxIntegerDigits = 18

// Amount is a number with two decimal places. Its zero value is 0.00.
type Amount struct{ d decimal.Decimal }

// MaxPrice is the largest price (9999999.99).
var MaxPrice = MustParse("9999999.99")

// ErrInvalid is wrapped by the errors of Parse.
var ErrInvalid = errors.New("invalid amount")

// New returns d rounded to two places, half away from zero.
func New(d decimal.Decimal) Amount { return Amount{d.Round(Places)} }

// Parse returns the amount of a decimal number: an optional minus sign, 1 to 18 digits, and at most
// two decimal places. It accepts no exponent, so its cost is bounded. It returns an error that wraps
// ErrInvalid.
func Parse(s string) (Amount, error) {
	if violation := check(s); violation != "" {
		return Amount{}, fmt.Errorf("%w: %s", ErrInvalid, violation)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: not a decimal number", ErrInvalid)
	}
	return Amount{d}, nil
}

// MustParse is like Parse, but panics on an error. It is for constants.
func MustParse(s string) Amount {
	a, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

// check returns the rule of Parse that s violates, or "".
func check(s string) string {
	integer, fraction, hasPoint := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	switch {
	case !isDigits(integer) || (hasPoint && !isDigits(fraction)):
		return "expected a decimal number such as 19.99"
	case len(fraction) > Places:
		return "expected at most 2 decimal places"
	case len(integer) > maxIntegerDigits:
		return "expected at most 18 digits before the decimal point"
	}
	return ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Decimal returns the amount as a decimal.
func (a Amount) Decimal() decimal.Decimal { return a.d }

// String returns the amount with two decimal places.
func (a Amount) String() string { return a.d.StringFixed(Places) }

// Add returns a + b.
func (a Amount) Add(b Amount) Amount { return Amount{a.d.Add(b.d)} }

// Times returns a · n.
func (a Amount) Times(n int64) Amount { return Amount{a.d.Mul(decimal.NewFromInt(n))} }

// Cmp returns -1, 0 or 1 if a is less than, equal to or greater than b.
func (a Amount) Cmp(b Amount) int { return a.d.Cmp(b.d) }

// Equal reports whether a and b are the same amount.
func (a Amount) Equal(b Amount) bool { return a.d.Equal(b.d) }

// IsNegative reports whether a is below zero.
func (a Amount) IsNegative() bool { return a.d.IsNegative() }

// MarshalJSON implements json.Marshaler. It returns a decimal string.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler. It accepts a decimal string or a number.
func (a *Amount) UnmarshalJSON(raw []byte) error {
	parsed, err := Parse(unquote(raw))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler, for query parameters.
func (a *Amount) UnmarshalText(raw []byte) error {
	parsed, err := Parse(string(raw))
	if err != nil {
		return errors.New(check(string(raw)))
	}
	*a = parsed
	return nil
}

// Scan implements sql.Scanner for a DECIMAL column.
func (a *Amount) Scan(v any) error {
	if err := a.d.Scan(v); err != nil {
		return fmt.Errorf("scan an amount: %w", err)
	}
	return nil
}

// Value implements driver.Valuer for a DECIMAL column.
func (a Amount) Value() (driver.Value, error) { return a.String(), nil }

// unquote returns the content of a JSON string, and any other JSON value, such as a number, as it
// is.
func unquote(raw []byte) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && len(raw) > 0 && raw[0] == '"' {
		return s
	}
	return string(raw)
}

// Schema implements huma.SchemaProvider for amounts in responses.
func (Amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^-?\d+\.\d{2}$`, PatternDescription: "a decimal number such as 19.99",
		Description: "Amount in the stack's currency, with two decimal places", Examples: []any{"19.99"},
	}
}

// Price is an amount in a request body, from 0.00 to 9999999.99. It stores the rule that its value
// violates, so that the response of huma has the field and the rule.
type Price struct {
	Amount
	violation string
}

// UnmarshalJSON implements json.Unmarshaler. It accepts a decimal string or a number, whose text it
// parses, because a float64 is not exact; Resolve returns the error for any other value.
func (p *Price) UnmarshalJSON(raw []byte) error {
	*p = Price{}
	s := unquote(raw)
	if len(raw) > 0 && raw[0] != '"' {
		s = plainNumber(s)
	}
	if p.violation = check(s); p.violation != "" {
		return nil
	}
	amount, err := Parse(s)
	if err != nil {
		return err
	}
	if amount.IsNegative() || amount.Cmp(MaxPrice) > 0 {
		p.violation = "expected an amount from 0.00 to " + MaxPrice.String()
		return nil
	}
	p.Amount = amount
	return nil
}

// plainNumber returns a number of JSON in the form that Parse accepts, if it is equal to a number of
// two decimal places: 1.999e1 and 19.990 are 19.99. Its cost is bounded: a longer number, or one with a
// large exponent, is returned as it is.
func plainNumber(s string) string {
	const maxText = 40
	if len(s) > maxText {
		return s
	}
	d, err := decimal.NewFromString(s)
	if err != nil || d.Exponent() < -maxText || d.Exponent() > maxIntegerDigits || !d.Equal(d.Round(Places)) {
		return s
	}
	return d.String()
}

// Resolve implements huma.ResolverWithPath. It returns the violation.
func (p *Price) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if p.violation == "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: prefix.String(), Message: p.violation}}
}

// Schema implements huma.SchemaProvider for prices in requests.
func (Price) Schema(huma.Registry) *huma.Schema {
	minimum := 0.0
	maximum, _ := MaxPrice.d.Float64()
	s := &huma.Schema{
		Description: "Price in the stack's currency, 0.00 to 9999999.99, with at most two decimal places",
		Examples:    []any{"19.99"},
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Pattern: `^\d{1,7}(\.\d{1,2})?$`, PatternDescription: "a decimal number such as 19.99"},
			{Type: huma.TypeNumber, Format: "double", Minimum: &minimum, Maximum: &maximum},
		},
	}
	for _, alternative := range s.OneOf {
		alternative.PrecomputeMessages()
	}
	return s
}

var (
	_ huma.ResolverWithPath = (*Price)(nil)
	_ huma.SchemaProvider   = Price{}
	_ huma.SchemaProvider   = Amount{}
)

// CheckCurrency returns an error unless code has the form of an ISO 4217 code.
func CheckCurrency(code string) error {
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return errors.New("is not an ISO 4217 code of three capital letters, such as USD")
	}
	return nil
}
