package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// countOperations returns the number of operations in the gateway's document.
func countOperations(ctx context.Context, t *testing.T, gateway string) int {
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

// operation returns the CSS selector of an element in an operation of the page.
func operation(tag, id, inside string) string {
	return fmt.Sprintf("#operations-%s-%s %s", tag, strings.ReplaceAll(id, "-", "\\-"), inside)
}

func visible(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(selector))
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

// openRequestForm opens the request form of an operation.
func (b *tab) openRequestForm(tag, id string) {
	b.t.Helper()
	b.do("open the request form of "+id, click(operation(tag, id, ".opblock-summary-control")), click(operation(tag, id, ".try-out__btn")))
}

// replace replaces the text of a field.
func (b *tab) replace(field, text string) {
	b.t.Helper()
	b.do("fill in", chromedp.Focus(chromedp.CSS(field)),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", field)),
		chromedp.SendKeys(chromedp.CSS(field), text))
}

// execute sends the request and returns the status and the body that the page shows.
func (b *tab) execute(tag, id string) (status, body string) {
	b.t.Helper()
	response := operation(tag, id, ".live-responses-table .response")
	b.do("execute "+id, click(operation(tag, id, ".execute")), visible(response))
	return b.text(response + " .response-col_status"), b.text(response + " .response-col_description .highlight-code code")
}

// stream places an order in the page and returns its stream, read as the documentation of the operation says.
func (b *tab) stream(managerToken string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(async (manager) => {
		const post = async (path, body, token) => (await fetch(path, { method: "POST", body: JSON.stringify(body),
			headers: { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) } })).json();
		const product = await post("/products", { name: "Desk", price: "19.99", initialQuantity: 5 }, manager);
		const account = { email: "browser" + product.id + "@example.com", password: "correct horse battery" };
		await post("/auth/register/user", { username: "Ada", ...account });
		const token = (await post("/auth/login", account)).accessToken;
		const { id } = await post("/sales", { items: [{ productId: product.id, quantity: 2 }] }, token);
		let text = "";
		const response = await fetch("/sales/" + id + "/stream", { headers: { Authorization: "Bearer " + token } });
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (let part = await reader.read(); !part.done; part = await reader.read()) {
			text += part.value;
		}
		return text;
	})("`+managerToken+`")`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("read a stream: %v", err)
	}
	return text
}

func TestDocumentationPageSendsRequests(t *testing.T) {
	s := startSystem(t)
	b := openTab(t)
	gateway, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}

	b.do("open the page", chromedp.Navigate(s.URL+"/docs"), visible(operation("auth", "log-in", "")))
	if got, want := b.count(".opblock"), countOperations(t.Context(), t, s.URL); got != want {
		t.Errorf("the page shows %d operations, want %d", got, want)
	}
	if n := b.count(".errors-wrapper"); n != 0 {
		t.Errorf("the page shows an error: %s", b.text(".errors-wrapper"))
	}

	b.openRequestForm("auth", "log-in")
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
	b.openRequestForm("auth", "get-me")
	if status, body := b.execute("auth", "get-me"); !strings.HasPrefix(status, "200") || !strings.Contains(body, s.ManagerEmail) {
		t.Errorf("get me: the page shows %q %q", status, body)
	}
	if !b.hasRequested("/auth/me") {
		t.Error("no request was recorded")
	}
	if stream := b.stream(session.AccessToken); !strings.Contains(stream, "event: SaleCreated\n") || !strings.HasSuffix(stream, "\n\n") ||
		!strings.Contains(stream, "event: SaleConfirmed\n") {
		t.Errorf("the stream of a sale in the browser is %q", stream)
	}
	for _, problem := range b.problems(gateway.Host) {
		t.Errorf("message of the browser: %s", problem)
	}
}
