package static_test

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/static"
)

// get returns the response to a request with pairs of header fields.
func get(t *testing.T, d *static.Document, header ...string) *fasthttp.Response {
	t.Helper()
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	ctx.Init(&req, nil, nil)
	if err := d.Serve(&ctx); err != nil {
		t.Fatal(err)
	}
	return &ctx.Response
}

func TestDocumentHasAnEntityTag(t *testing.T) {
	t.Parallel()
	body := strings.Repeat(`{"a":1}`, 1000)
	d := static.New("application/json", []byte(body))
	whole := get(t, d)
	tag := string(whole.Header.Peek("ETag"))
	if whole.StatusCode() != 200 || string(whole.Body()) != body || string(whole.Header.ContentType()) != "application/json" {
		t.Errorf("%d, %d bytes of %s", whole.StatusCode(), len(whole.Body()), whole.Header.ContentType())
	}
	if len(tag) < 4 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Errorf("ETag %s is not quoted", tag)
	}
	compressed := get(t, d, "Accept-Encoding", "gzip")
	if string(compressed.Header.ContentEncoding()) != "gzip" || string(compressed.Header.Peek("ETag")) == tag || len(compressed.Body()) > len(body)/10 {
		t.Errorf("with gzip: %s", compressed.Header.String())
	}
	if other := get(t, static.New("application/json", []byte("other"))); string(other.Header.Peek("ETag")) == tag {
		t.Error("another document has the same tag")
	}
	for _, c := range []struct {
		lines []string
		want  int
	}{
		{[]string{tag}, 304}, {[]string{"W/" + tag}, 304}, {[]string{"*"}, 304}, {[]string{`"x", ` + tag}, 304},
		{[]string{`"x"`, tag}, 304}, {[]string{string(compressed.Header.Peek("ETag"))}, 304},
		{[]string{`"x"`}, 200}, {[]string{strings.Trim(tag, `"`)}, 200}, {nil, 200},
	} {
		var header []string
		for _, line := range c.lines {
			header = append(header, "If-None-Match", line)
		}
		res := get(t, d, header...)
		if res.StatusCode() != c.want || (c.want == 304) != (len(res.Body()) == 0) || string(res.Header.Peek("ETag")) != tag {
			t.Errorf("If-None-Match %q: %d with %d bytes and ETag %s, want %d", c.lines, res.StatusCode(), len(res.Body()), res.Header.Peek("ETag"), c.want)
		}
	}
}

func TestTagsOfAFileServerAreQuoted(t *testing.T) {
	t.Parallel()
	files := func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("Etag", "1a2b")
		ctx.Response.Header.Add("Vary", "Accept-Encoding")
		ctx.Response.Header.SetContentEncoding(string(ctx.Request.Header.Peek("Accept-Encoding")))
		ctx.SetBodyString("body")
	}
	for _, c := range []struct {
		accept, match, tag string
		want               int
	}{
		{"", "", `"1a2b"`, 200}, {"br", "", `"1a2b;br"`, 200}, {"", `"1a2b"`, `"1a2b"`, 304}, {"br", `"1a2b;br"`, `"1a2b;br"`, 304},
		{"br", `"1a2b"`, `"1a2b;br"`, 200}, {"gzip", `"x", "1a2b;gzip"`, `"1a2b;gzip"`, 304}, {"gzip", `"x"`, `"1a2b;gzip"`, 200},
	} {
		var ctx fasthttp.RequestCtx
		var req fasthttp.Request
		req.Header.Set("Accept-Encoding", c.accept)
		req.Header.Set("If-None-Match", c.match)
		ctx.Init(&req, nil, nil)
		static.Serve(&ctx, files)
		res := &ctx.Response
		if string(res.Header.Peek("ETag")) != c.tag || res.StatusCode() != c.want || (len(res.Body()) == 0) != (c.want == 304) || len(res.Header.Peek("Vary")) > 0 {
			t.Errorf("%q, If-None-Match %s: %d\n%s", c.accept, c.match, res.StatusCode(), res.Header.String())
		}
	}
}
