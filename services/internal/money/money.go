// Package money holds amounts of the stack's currency: decimals with two places,
// never floats. On the wire an amount is a decimal string ("19.99"); a request may
// also write it as a JSON number. In MySQL it is a DECIMAL of scale 2.
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

// Places after the decimal point.
const Places = 2

// maxWhole bounds the digits before the point of what is parsed, which keeps every
// amount within DECIMAL(20,2).
const maxWhole = 18

// Amount is a number with two decimal places. Its zero value is 0.00.
type Amount struct{ d decimal.Decimal }

// MaxPrice is the largest price (9999999.99).
var MaxPrice = MustParse("9999999.99")

// ErrInvalid is wrapped by every refusal to parse.
var ErrInvalid = errors.New("invalid amount")

// New rounds d to two places, half away from zero.
func New(d decimal.Decimal) Amount { return Amount{d.Round(Places)} }

// FromMinor makes an amount of cents.
func FromMinor(cents int64) Amount { return Amount{decimal.New(cents, -Places)} }

// Parse reads digits with at most two decimal places and an optional minus sign.
// It takes no exponent and no superfluous form, so its cost is bounded.
func Parse(s string) (Amount, error) {
	if reason := check(s); reason != "" {
		return Amount{}, fmt.Errorf("%w: %s", ErrInvalid, reason)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: not a decimal number", ErrInvalid)
	}
	return Amount{d}, nil
}

// MustParse is Parse for constants; it panics.
func MustParse(s string) Amount {
	a, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

// check gives the rule that s breaks, or "".
func check(s string) string {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	switch {
	case !digits(whole) || (point && !digits(fraction)):
		return "expected a decimal number such as 19.99"
	case len(fraction) > Places:
		return "expected at most 2 decimal places"
	case len(whole) > maxWhole:
		return "expected at most 18 digits before the point"
	}
	return ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Decimal is the amount as a decimal.
func (a Amount) Decimal() decimal.Decimal { return a.d }

// String has two places always.
func (a Amount) String() string { return a.d.StringFixed(Places) }

// Add gives a + b.
func (a Amount) Add(b Amount) Amount { return Amount{a.d.Add(b.d)} }

// Times gives a · n.
func (a Amount) Times(n int64) Amount { return Amount{a.d.Mul(decimal.NewFromInt(n))} }

// Cmp is -1, 0 or 1 as a is less than, equal to or greater than b.
func (a Amount) Cmp(b Amount) int { return a.d.Cmp(b.d) }

// Equal compares values.
func (a Amount) Equal(b Amount) bool { return a.d.Equal(b.d) }

// IsNegative says whether a is below zero.
func (a Amount) IsNegative() bool { return a.d.IsNegative() }

// MarshalJSON writes a decimal string.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }

// UnmarshalJSON reads a decimal string or a number.
func (a *Amount) UnmarshalJSON(raw []byte) error {
	parsed, err := Parse(text(raw))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// UnmarshalText reads a query parameter.
func (a *Amount) UnmarshalText(raw []byte) error {
	parsed, err := Parse(string(raw))
	if err != nil {
		return errors.New(check(string(raw)))
	}
	*a = parsed
	return nil
}

// Scan reads a DECIMAL column.
func (a *Amount) Scan(v any) error {
	if err := a.d.Scan(v); err != nil {
		return fmt.Errorf("scan an amount: %w", err)
	}
	return nil
}

// Value writes a DECIMAL column.
func (a Amount) Value() (driver.Value, error) { return a.String(), nil }

// text is the content of a JSON string, or the number as it was written. What is
// neither stays as it is, and no parser takes it.
func text(raw []byte) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && len(raw) > 0 && raw[0] == '"' {
		return s
	}
	return string(raw)
}

// Schema documents an amount in an answer.
func (Amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^-?\d+(\.\d{1,2})?$`, PatternDescription: "a decimal number such as 19.99",
		Description: "Amount in the stack's currency, with two decimal places", Examples: []any{"19.99"},
	}
}

// Price is an amount in a request body, 0.00 to 9999999.99. It keeps what was wrong
// with it, so that huma can answer with the field and the rule.
type Price struct {
	Amount
	broken string
}

// UnmarshalJSON reads a decimal string or a number; Resolve tells of what is
// neither.
func (p *Price) UnmarshalJSON(raw []byte) error {
	*p = Price{}
	s := text(raw)
	if p.broken = check(s); p.broken != "" {
		return nil
	}
	amount, err := Parse(s)
	if err != nil {
		return err
	}
	if amount.IsNegative() || amount.Cmp(MaxPrice) > 0 {
		p.broken = "expected an amount from 0.00 to " + MaxPrice.String()
		return nil
	}
	p.Amount = amount
	return nil
}

// Resolve implements huma.ResolverWithPath.
func (p *Price) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if p.broken == "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: prefix.String(), Message: p.broken}}
}

// Schema documents a price in a request.
func (Price) Schema(huma.Registry) *huma.Schema {
	least := 0.0
	most, _ := MaxPrice.d.Float64()
	s := &huma.Schema{
		Description: "Price in the stack's currency, 0.00 to 9999999.99, with at most two decimal places",
		Examples:    []any{"19.99"},
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Pattern: `^\d{1,7}(\.\d{1,2})?$`, PatternDescription: "a decimal number such as 19.99"},
			{Type: huma.TypeNumber, Minimum: &least, Maximum: &most},
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

// CheckCurrency refuses what has not the form of an ISO 4217 code.
func CheckCurrency(code string) error {
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return errors.New("not an ISO 4217 code, which has three capital letters, such as USD")
	}
	return nil
}
