package gateway

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
)

// maxFields bounds the header fields of a request, beside Host.
const maxFields = 100

// MaxBody bounds the body of a request, in bytes.
const MaxBody = 1 << 20

// malformed returns the problem of an error of the HTTP library.
func malformed(err error) *problem.Problem {
	var timeout net.Error
	switch {
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		return problem.New(http.StatusRequestHeaderFieldsTooLarge, "", "The header exceeds the limit of 32 KiB.")
	case errors.As(err, &timeout) && timeout.Timeout():
		return problem.New(http.StatusRequestTimeout, "", "The request did not arrive in time.")
	}
	return problem.New(http.StatusBadRequest, "", "Malformed HTTP request.")
}

// checkSyntax refuses what the HTTP library accepts and RFC 9112 forbids, or what a
// service could read in another way. The connection is closed, because where the next
// request begins is not certain.
func (g *Gateway) checkSyntax(r *Request) error {
	r.path = string(r.URI().PathOriginal())
	if !r.refused() {
		r.refusal = checkHeader(&r.Request)
	}
	if r.refused() {
		r.closeAfterResponse()
		return nil
	}
	r.path, r.refusal = decodePath(r.path, string(r.URI().QueryString()))
	return nil
}

// decodePath returns a decoded path. It refuses one that a service could split in another
// way, and a URL that is no text.
func decodePath(encoded, query string) (string, error) {
	if strings.IndexByte(encoded, '%') < 0 {
		return encoded, server.CheckURL(encoded, query)
	}
	decoded, err := url.PathUnescape(encoded)
	if err != nil {
		return encoded, problem.New(http.StatusBadRequest, "", "The path has an invalid percent-encoding.")
	}
	if lower := strings.ToLower(encoded); strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") {
		return decoded, problem.New(http.StatusBadRequest, "", "A path segment has an encoded slash.")
	}
	return decoded, server.CheckURL(decoded, query)
}

func checkHeader(req *fasthttp.Request) error {
	h := &req.Header
	switch fields := checkFields(h.RawHeaders()); {
	case fields < 0:
		return malformed(nil)
	case fields > maxFields+1:
		return problem.New(http.StatusRequestHeaderFieldsTooLarge, "", "The header exceeds the limit of "+strconv.Itoa(maxFields)+" fields.")
	}
	switch version := string(h.Protocol()); {
	case version == "HTTP/1.1":
	case version != "HTTP/1.0":
		return problem.New(http.StatusHTTPVersionNotSupported, "", "HTTP version not supported. Supported: 1.1, 1.0.")
	}
	uri := req.URI()
	scheme := string(uri.Scheme())
	if (scheme != "http" && scheme != "https") || len(uri.Username()) > 0 || h.IsConnect() || !validHost(string(h.Host())) {
		return malformed(nil)
	}
	return nil
}

// checkFields returns the number of fields in a header block, or -1 for one with a line
// that ends in a bare LF or continues the one before (RFC 9112, sections 2.2 and 5.2), a
// space in a name (section 5.1), a transfer coding other than chunked (section 7), or both
// Content-Length and Transfer-Encoding (section 6.3).
func checkFields(block []byte) int {
	fields, sized, coded := 0, false, false
	for len(block) > 0 {
		end := bytes.IndexByte(block, '\n')
		if end < 1 || block[end-1] != '\r' || block[0] == ' ' || block[0] == '\t' {
			return -1
		}
		if end == 1 {
			break
		}
		name, value, _ := bytes.Cut(block[:end-1], []byte(":"))
		if bytes.IndexByte(name, ' ') >= 0 {
			return -1
		}
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			sized = true
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			coded = true
			if !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) {
				return -1
			}
		}
		block = block[end+1:]
		fields++
	}
	if sized && coded {
		return -1
	}
	return fields
}

// validHost reports whether a Host field is empty, as in HTTP/1.0, or a host with an
// optional port (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
func validHost(host string) bool {
	if host == "" {
		return true
	}
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
		if n, err := strconv.ParseUint(host[i+1:], 10, 16); host[i+1:] != "" && (err != nil || n == 0) {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		_, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && strings.HasSuffix(inner, "]")
	}
	for i := range len(name) {
		if !nameBytes[name[i]] {
			return false
		}
	}
	return name != ""
}

// nameBytes has the bytes of a registered name (RFC 3986, section 3.2.2), without the comma,
// which would make a list.
var nameBytes = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+;=%") {
		table[c] = true
	}
	return table
}()
