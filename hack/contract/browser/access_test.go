package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"ecommerce-stack.dev/hack/contract/clients"
)

// auditTimeout is the time limit of an audit, which computes the colors of every element.
const auditTimeout = 3 * time.Minute

// finding is a violation that axe has found.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML, FailureSummary string
	}
}

// audit returns the critical and the serious findings of axe in the page.
func (b *tab) audit(axe string) (findings []finding) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, auditTimeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](axe+`;
		axe.run(document, {resultTypes: ["violations"]}).then((r) =>
			JSON.stringify(r.violations.filter((v) => v.impact === "critical" || v.impact === "serious")))`, chromedp.EvalAwaitPromise))
	if err == nil {
		err = json.Unmarshal([]byte(text), &findings)
	}
	if err != nil {
		b.t.Fatalf("run axe: %v", err)
	}
	return findings
}

// number returns the value of an expression.
func (b *tab) number(expression string) float64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[float64](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return n
}

// brightness returns the mean brightness of what the tab shows, from 0 to 1.
func (b *tab) brightness() float64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take a screenshot: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		b.t.Fatalf("decode a screenshot: %v", err)
	}
	var sum, pixels float64
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			red, green, blue, _ := img.At(x, y).RGBA()
			sum += 0.2126*float64(red) + 0.7152*float64(green) + 0.0722*float64(blue)
			pixels++
		}
	}
	return sum / pixels / 0xffff
}

// preferScheme emulates a reader who prefers a color scheme.
func preferScheme(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return chromedp.Void{}, err
	}
}

func TestDocumentationPageIsAccessible(t *testing.T) {
	packages, err := clients.Packages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	axe, err := os.ReadFile(filepath.Join(packages, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := startSystem(t)
	b := openTab(t)
	b.do("open the page", chromedp.Navigate(s.URL+"/docs"), visible(operation("auth", "log-in", "")))

	// A token and a request form show further controls.
	b.do("open a form", click(operation("sales", "create-sale", ".opblock-summary-control")), click(operation("sales", "create-sale", ".try-out__btn")),
		click(operation("products", "list-products", ".opblock-summary-control")), click(operation("products", "list-products", ".try-out__btn")),
		visible(operation("products", "list-products", ".execute")))
	check := func(what string) {
		t.Helper()
		for _, f := range b.audit(string(axe)) {
			for _, node := range f.Nodes {
				t.Errorf("%s: %s %s: %s\n%s\n%s", what, f.Impact, f.ID, f.Help, node.HTML, node.FailureSummary)
			}
		}
	}
	check("the page")
	b.do("open the dialog", click(".auth-wrapper .authorize"), visible(".auth-container input"))
	check("the dialog for the token")
	b.do("close the dialog", click(".auth-btn-wrapper .btn-done"))

	light := b.brightness()
	b.do("prefer dark", preferScheme("dark"))
	if dark := b.brightness(); light < 0.7 || dark > 0.35 {
		t.Errorf("the mean brightness is %.2f, and %.2f for a reader who prefers dark colors", light, dark)
	}
	b.do("prefer light", preferScheme("light"))

	const width = 360
	b.do("use a phone", chromedp.EmulateViewport(width, 740, chromedp.EmulateMobile), chromedp.Navigate(s.URL+"/docs"), visible(operation("auth", "log-in", "")))
	if got := b.number("window.innerWidth"); got != width {
		t.Errorf("a phone lays the page out for %.0f pixels, want %d", got, width)
	}
	if got := b.number("document.documentElement.scrollWidth"); got > width {
		t.Errorf("the page is %.0f pixels wide on a phone with %d", got, width)
	}
}
