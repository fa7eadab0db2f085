// Package static serves documents that are in memory: with an entity tag (RFC 9110, section 8.8.3), and
// compressed for clients that accept it.
package static

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/compression"
)

// Document is a representation that does not change.
type Document struct {
	contentType, tag string
	body             *compression.Body
}

// New returns the document of a body, which must not be changed afterwards.
func New(contentType string, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, compression.NewBody(body)}
}

// Serve sets the response to a request: the document, or 304 if the client has it.
func (d *Document) Serve(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Response.Header
	h.SetContentType(d.contentType)
	h.Set(fasthttp.HeaderCacheControl, "no-cache")
	if !Tag(ctx, d.tag) {
		d.body.Set(&ctx.Response, compression.Accepted(&ctx.Request.Header))
	}
	return nil
}

// Tag sets the entity tag of a response, and reports whether the client has the representation. Then
// the response is 304, without a body.
func Tag(ctx *fasthttp.RequestCtx, tag string) bool {
	ctx.Response.Header.Set(fasthttp.HeaderETag, tag)
	list := bytes.Join(ctx.Request.Header.PeekAll(fasthttp.HeaderIfNoneMatch), []byte(","))
	if !compression.Matches(string(list), compression.Plain(tag)) {
		return false
	}
	ctx.Response.ResetBody()
	ctx.Response.Header.Del(fasthttp.HeaderContentEncoding)
	ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
	return true
}

// Serve serves a file of a file server that does not quote its entity tags and has the same one for each
// coding. Its Vary is removed: the gateway sets it.
func Serve(ctx *fasthttp.RequestCtx, serve fasthttp.RequestHandler) {
	serve(ctx)
	h := &ctx.Response.Header
	h.Del(fasthttp.HeaderVary)
	if tag := strings.Trim(string(h.Peek(fasthttp.HeaderETag)), `"`); tag != "" {
		if coding := h.ContentEncoding(); len(coding) > 0 {
			tag += ";" + string(coding)
		}
		Tag(ctx, `"`+tag+`"`)
	}
}
