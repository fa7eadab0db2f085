package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"ecommerce-stack.dev/hack/internal/local"
)

func start(t *testing.T) *local.System {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers and a browser; not part of a -short run")
	}
	s, err := local.Start(t.Context(), local.Options{Root: "../..", Env: []string{"BCRYPT_COST=4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// operations of the document at the gateway.
func operations(ctx context.Context, t *testing.T, gateway string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var doc struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, item := range doc.Paths {
		n += len(item)
	}
	if n < 20 {
		t.Fatalf("the document has %d operations", n)
	}
	return n
}

// operation is the selector of one on the page.
func operation(tag, id, inside string) string {
	return fmt.Sprintf("#operations-%s-%s %s", tag, strings.ReplaceAll(id, "-", "\\-"), inside)
}

func visible(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(selector))
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

// try opens an operation for a request.
func (b *tab) try(tag, id string) {
	b.t.Helper()
	b.do("try "+id, click(operation(tag, id, ".opblock-summary-control")), click(operation(tag, id, ".try-out__btn")))
}

// replace types over all that is in a field.
func (b *tab) replace(field, text string) {
	b.t.Helper()
	b.do("fill in", chromedp.Focus(chromedp.CSS(field)),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", field)),
		chromedp.SendKeys(chromedp.CSS(field), text))
}

// execute sends the request and gives the status and the body that the page shows.
func (b *tab) execute(tag, id string) (status, body string) {
	b.t.Helper()
	answer := operation(tag, id, ".live-responses-table .response")
	b.do("execute "+id, click(operation(tag, id, ".execute")), visible(answer))
	return b.text(answer + " .response-col_status"), b.text(answer + " .response-col_description .highlight-code code")
}

func TestADeveloperCanWorkWithThePage(t *testing.T) {
	s := start(t)
	b := open(t)
	gateway, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}

	b.do("open the page", chromedp.Navigate(s.URL+"/docs"), visible(operation("auth", "log-in", "")))
	if got, want := b.count(".opblock"), operations(t.Context(), t, s.URL); got != want {
		t.Errorf("the page shows %d operations, want %d", got, want)
	}
	if n := b.count(".errors-wrapper"); n != 0 {
		t.Errorf("the page could not read the document: %s", b.text(".errors-wrapper"))
	}

	b.try("auth", "log-in")
	credentials, err := json.Marshal(map[string]string{"email": s.ManagerEmail, "password": s.ManagerPassword})
	if err != nil {
		t.Fatal(err)
	}
	b.replace(operation("auth", "log-in", "textarea.body-param__text"), string(credentials))
	status, body := b.execute("auth", "log-in")
	var session struct{ AccessToken string }
	if err := json.Unmarshal([]byte(body), &session); err != nil || !strings.HasPrefix(status, "200") || session.AccessToken == "" {
		t.Fatalf("log in: the page shows %q %q (%v)", status, body, err)
	}

	token := chromedp.CSS(".auth-container input[type=text]")
	b.do("authorize", click(".auth-wrapper .authorize"), chromedp.SendKeys(token, session.AccessToken),
		click(".auth-btn-wrapper .authorize"), click(".auth-btn-wrapper .btn-done"))
	b.try("auth", "get-me")
	if status, body := b.execute("auth", "get-me"); !strings.HasPrefix(status, "200") || !strings.Contains(body, s.ManagerEmail) {
		t.Errorf("get me: the page shows %q %q", status, body)
	}
	if !b.asked("/auth/me") {
		t.Error("the page asked for nothing: the recording is broken")
	}
	for _, complaint := range b.complaints(gateway.Host) {
		t.Errorf("the browser complains: %s", complaint)
	}
}
