package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds a browser's life, and stepPatience one thing that is done in it.
const (
	patience     = 4 * time.Minute
	stepPatience = 30 * time.Second
)

// tab of a browser of its own, which ends with the test. It keeps what the page asked
// for and complained about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	requests  []string
	complains []string
}

// open starts a headless Chromium with an empty profile.
func open(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: run `go run ./hack/deps integration` as root, or install Debian's package chromium")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-pings", true),
		// Whatever the browser itself would ask for has no address.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return b
}

// hear keeps requests, what the console says, and what a script did not catch. A
// broken Content-Security-Policy is an error of the log.
func (b *tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, ev.Request.URL)
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			b.complains = append(b.complains, fmt.Sprintf("%s: %s (%s)", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, arg := range ev.Args {
				b.complains = append(b.complains, fmt.Sprintf("console: %s %s", arg.Value, arg.Description))
			}
		}
	case *runtime.EventExceptionThrown:
		b.complains = append(b.complains, "exception: "+ev.ExceptionDetails.Text)
	}
}

// complaints so far, and requests to another host than the given one.
func (b *tab) complaints(host string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.complains)
	for _, r := range b.requests {
		u, err := url.Parse(r)
		if err != nil || (u.Host != host && u.Scheme != "data" && u.Scheme != "blob") {
			all = append(all, "a request to "+r)
		}
	}
	return all
}

// asked says whether the page asked for a path.
func (b *tab) asked(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.requests, func(r string) bool { return strings.HasSuffix(r, path) })
}

// do takes steps, each within its time.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(b.ctx, stepPatience)
		err := chromedp.Do(ctx, step)
		cancel()
		if err != nil {
			b.t.Fatalf("%s: %v\nthe page: %s\ncomplaints: %q", what, err, b.text("body"), b.complaints(""))
		}
	}
}

// text that a person reads in an element, or why there is none.
func (b *tab) text(selector string) string {
	ctx, cancel := context.WithTimeout(b.ctx, stepPatience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("(document.querySelector(%q)||{innerText:''}).innerText", selector)))
	if err != nil {
		return err.Error()
	}
	return text
}

// count of the elements that match.
func (b *tab) count(selector string) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepPatience)
	defer cancel()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
	if err != nil {
		b.t.Fatalf("count %s: %v", selector, err)
	}
	return n
}
