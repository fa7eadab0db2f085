package money_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"ecommerce-stack.dev/services/internal/money"
)

func TestAmountIsEncodedWithTwoPlacesAndDecoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := money.New(decimal.New(rapid.Int64Range(-1e15, 1e15).Draw(t, "cents"), -money.Places))
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		_, fraction, _ := strings.Cut(strings.Trim(string(body), `"`), ".")
		if len(fraction) != 2 {
			t.Fatalf("encoded as %s", body)
		}
		var got money.Amount
		if err := json.Unmarshal(body, &got); err != nil || !got.Equal(want) {
			t.Fatalf("%s decoded as %s, %v", body, got, err)
		}
		stored, err := want.Value()
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Scan([]byte(stored.(string))); err != nil || !got.Equal(want) {
			t.Fatalf("%v scanned as %s, %v", stored, got, err)
		}
	})
}

func TestOnlyDecimalNumbersAreDecoded(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"19.99"`: "19.99", `19.99`: "19.99", `0`: "0.00", `"7"`: "7.00", `7.5`: "7.50", `-1`: "-1.00",
		`"19.999"`: "", `1e3`: "", `"1e1000000000"`: "", `""`: "", `" 1"`: "", `"+1"`: "", `".5"`: "", `"5."`: "",
		`"1,5"`: "", `null`: "", `true`: "", `{}`: "", `"NaN"`: "", `"` + strings.Repeat("9", 19) + `"`: "",
	} {
		var got money.Amount
		err := json.Unmarshal([]byte(in), &got)
		if want == "" && !errors.Is(err, money.ErrInvalid) {
			t.Errorf("%s decoded as %s, %v; want ErrInvalid", in, got, err)
		}
		if want != "" && (err != nil || got.String() != want) {
			t.Errorf("%s decoded as %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestNumberIsParsedExactly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`1234567.89`: "1234567.89", `9999999.99`: "9999999.99", `0.1`: "0.10", `0.29`: "0.29", `-0`: "0.00", `0.00`: "0.00",
		`1.23456789e6`: "1234567.89", `1234567.890`: "1234567.89", `123456789E-2`: "1234567.89", `1e2`: "100.00",
		`1234567.891`: "", `1234567.8900000001`: "", `9999999.9900000000001`: "", `9999999.991`: "", `1e7`: "", `1e999999999`: "", `1e-999999999`: "",
		`-0.01`: "", `true`: "", `{}`: "", `"1e2"`: "", `"19.990"`: "", `0.` + strings.Repeat("0", 1000) + `1`: "",
	} {
		var got money.Price
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%.40s: %v", in, err)
			continue
		}
		violations := got.Resolve(nil, huma.NewPathBuffer(nil, 0))
		if (want == "") != (len(violations) > 0) || want != "" && got.String() != want {
			t.Errorf("%.40s: %s, %v; want %q", in, got, violations, want)
		}
	}
}

// TestFloatsOfClientsAreExact encodes each amount as a client does whose price is a float64.
func TestFloatsOfClientsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := money.New(decimal.New(rapid.Int64Range(0, 999_999_999).Draw(t, "cents"), -money.Places))
		float, _ := want.Decimal().Float64()
		body, err := json.Marshal(float)
		if err != nil {
			t.Fatal(err)
		}
		var got money.Price
		if err := json.Unmarshal(body, &got); err != nil || !got.Equal(want) {
			t.Fatalf("%s decoded as %s, %v; want %s", body, got, err, want)
		}
	})
}

func TestArithmeticIsExact(t *testing.T) {
	t.Parallel()
	sum := money.MustParse("0.10").Add(money.MustParse("0.20"))
	if sum.String() != "0.30" {
		t.Errorf("0.10 + 0.20 = %s", sum)
	}
	if total := money.MaxPrice.Times(10000).Times(100); total.String() != "9999999990000.00" {
		t.Errorf("the largest sale is %s", total)
	}
	if got := money.New(decimal.RequireFromString("0.125")); got.String() != "0.13" {
		t.Errorf("0.125 rounds to %s", got)
	}
}
