package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestDocumentationPageSearchesOperations(t *testing.T) {
	s := startSystem(t)
	b := openTab(t)
	b.do("open the page", chromedp.Navigate(s.URL+"/docs"), visible(operation("auth", "log-in", "")))
	all := b.count(".opblock")
	const field = ".operation-filter-input"
	for _, c := range []struct {
		words, tag, id string
	}{
		{"dead letter redrive", "operations", "redrive-dead-letter"}, // its summary, in another order
		{"POST /sales", "sales", "create-sale"},
		{"receive/{quantity}", "stock", "receive-stock"},
	} {
		b.replace(field, c.words)
		b.do("search "+c.words, visible(operation(c.tag, c.id, "")), chromedp.WaitNotPresent(chromedp.CSS(operation("auth", "log-in", ""))))
		if n := b.count(".opblock"); n == 0 || n >= all/2 {
			t.Errorf("%q finds %d of %d operations", c.words, n, all)
		}
	}
	b.replace(field, "nothing like this")
	b.do("find nothing", chromedp.WaitNotPresent(chromedp.CSS(".opblock")))
}
