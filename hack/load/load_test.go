package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"ecommerce-stack.dev/hack/internal/client"
)

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	valid := options{Rate: 50, Duration: time.Minute, Shoppers: 10, Products: 20}
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*options){
		"--rate is 0":        func(o *options) { o.Rate = 0 },
		"--rate is 5001":     func(o *options) { o.Rate = 5001 },
		"--shoppers is 51":   func(o *options) { o.Shoppers = 51 },
		"--products is 0":    func(o *options) { o.Products = 0 },
		"--duration is 11m":  func(o *options) { o.Duration = 11 * time.Minute },
		"--duration is 10ms": func(o *options) { o.Duration = 10 * time.Millisecond },
	} {
		o := valid
		change(&o)
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%v, want an error that begins with %q", err, name)
		}
	}
}

// requests returns n requests of a shop whose sales are accepted.
func requests(t *testing.T, seed uint64, n int) (lines []string, byKind map[kind]int) {
	t.Helper()
	s := newShop("http://store/", seed, []int64{11, 12, 13, 14}, []string{"desk", "é&x"}, make([]client.User, 3))
	byKind = map[kind]int{}
	for i := range n {
		var target vegeta.Target
		if err := s.next(&target); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, target.Method+" "+target.URL+" "+string(target.Body)+" "+target.Header.Get("Idempotency-Key"))
		result := &vegeta.Result{Code: http.StatusAccepted, Method: target.Method, URL: target.URL, Headers: target.Header, Body: fmt.Appendf(nil, `{"id":%d}`, i+1)}
		what, created := s.ended(result)
		if (created != 0) != (target.Method == http.MethodPost) {
			t.Fatalf("%s %s has created sale %d", target.Method, target.URL, created)
		}
		byKind[what]++
		result.Headers = nil // no response
		if unanswered, _ := s.parse(result); unanswered != what && what != "hold" {
			t.Errorf("%s %s is %s, without a response %s", target.Method, target.URL, what, unanswered)
		}
	}
	return lines, byKind
}

func TestRequestsDependOnTheSeed(t *testing.T) {
	t.Parallel()
	one, byKind := requests(t, 1, 5000)
	again, _ := requests(t, 1, 5000)
	other, _ := requests(t, 2, 5000)
	if diff := cmp.Diff(one, again); diff != "" {
		t.Errorf("the same seed has other requests:\n%.2000s", diff)
	}
	if slices.Equal(one, other) {
		t.Error("two seeds have the same requests")
	}
	sum := 0
	for _, k := range kinds {
		sum += k.share
		if share := byKind[k.kind] * 100 / len(one); share < k.share/2 || share > 2*k.share {
			t.Errorf("%d %% of the requests are %s, want about %d %%", share, k.kind, k.share)
		}
	}
	if sum != 100 {
		t.Errorf("the shares are %d %% together", sum)
	}
}

func TestOnlyAcceptedSalesAreFollowed(t *testing.T) {
	t.Parallel()
	s := newShop("http://store", 1, []int64{1}, []string{"desk"}, make([]client.User, 1))
	for _, c := range []struct {
		code uint16
		id   string
		body string
	}{{http.StatusTooManyRequests, "load.order.0.1", `{"id":1}`}, {http.StatusAccepted, "load.order.0.2", `{`},
		{http.StatusAccepted, "load.order.7.3", `{"id":1}`}, {http.StatusAccepted, "else", `{"id":1}`}} {
		headers := http.Header{}
		headers.Set("X-Request-Id", c.id)
		what, created := s.ended(&vegeta.Result{Code: c.code, Method: http.MethodPost, URL: "http://store/sales", Headers: headers, Body: []byte(c.body)})
		if what != "order" || created != 0 {
			t.Errorf("%d %s %s: %s has created sale %d", c.code, c.id, c.body, what, created)
		}
	}
}
