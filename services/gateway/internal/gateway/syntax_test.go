package gateway

import (
	"strings"
	"testing"
)

func TestAmbiguousHeaderBlocksAreRejected(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]int{
		"\r\n":                        0,
		"Host: x\r\n\r\n":             1,
		"Host: x\r\nX-A:\r\n\r\n":     2,
		"Content-Length: 2\r\n\r\n":   1,
		"Host: x\nX-A: b\r\n\r\n":     -1,
		"Host: x\r\nX-A: b\n\r\n":     -1,
		"Host: x\r\n X-A: b\r\n\r\n":  -1,
		"Host: x\r\n\tX-A: b\r\n\r\n": -1,
		" Host: x\r\n\r\n":            -1,
		"X A: b\r\n\r\n":              -1,
		"X-A : b\r\n\r\n":             -1,
		"content-length: 2\r\nTRANSFER-ENCODING: chunked\r\n\r\n": -1,
		"Transfer-Encoding: identity\r\n\r\n":                     -1,
		"Transfer-Encoding: gzip, chunked\r\n\r\n":                -1,
		"Transfer-Encoding:\tChunked \r\n\r\n":                    1,
	} {
		if got := checkFields([]byte(block)); got != want {
			t.Errorf("%q: got %d, want %d", block, got, want)
		}
	}
	if got := checkFields([]byte(strings.Repeat("A:\r\n", 4000) + "\r\n")); got != 4000 {
		t.Errorf("4000 fields: got %d", got)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"": true, "shop.test": true, "shop.test:80": true, "shop.test:": true, "[::1]": true, "[::1]:443": true, "127.0.0.1:5001": true,
		"a_b": true, "shop.test:0": false, "shop.test:65536": false, "shop.test:x": false, "shop.test:80:90": false, "[::1": false, "::1]": false,
		"[::1]x": false, "[x]": false, "a@b": false, "a b": false, "a/b": false, "a?b": false, "a,b": false, ":80": false, "\xff": false,
	} {
		if got := validHost(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}
