// Package compression sends answers as gzip to clients that take it (RFC 9110,
// section 8.4), and keeps entity tags right while doing so.
//
// An answer that has a body of its own kind, is large enough to gain, and is not
// encoded yet is compressed; streams of events never are. Whoever sends no
// Accept-Encoding costs nothing here.
package compression

import (
	"net/http"
	"strconv"
	"strings"
)

// Encoding is the content coding of what is compressed.
const Encoding = "gzip"

// MinSize of a body that is compressed: with less, headers and frames of the
// connection outweigh what is won.
const MinSize = 1 << 10

// Accepted says whether the client prefers gzip to nothing for the body of this
// request's answer. A request for no body gets none compressed.
func Accepted(r *http.Request) bool {
	lines := r.Header["Accept-Encoding"]
	return len(lines) > 0 && r.Method != http.MethodHead && Preferred(lines...)
}

// Preferred weighs gzip against identity in the lines of Accept-Encoding (RFC 9110, section 12.5.3): what is not
// named has the weight of "*", and without that gzip is refused and identity is
// taken, if nothing else is.
func Preferred(lines ...string) bool {
	gzip, identity, rest := -1.0, -1.0, -1.0
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			coding, weight := weigh(item)
			switch {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				gzip = max(gzip, weight)
			case strings.EqualFold(coding, "identity"):
				identity = max(identity, weight)
			case coding == "*":
				rest = max(rest, weight)
			}
		}
	}
	if gzip < 0 {
		gzip = rest
	}
	if identity < 0 {
		identity = 0
	}
	return gzip > 0 && gzip >= identity
}

// weigh splits a coding from its weight. A weight that is none of RFC 9110, section
// 12.4.2, refuses the coding: the plain answer is never wrong.
func weigh(item string) (coding string, weight float64) {
	coding, parameters, weighed := strings.Cut(item, ";")
	coding = strings.TrimSpace(coding)
	if !weighed {
		return coding, 1
	}
	name, value, _ := strings.Cut(parameters, "=")
	weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(weight >= 0 && weight <= 1) {
		return coding, 0
	}
	return coding, weight
}

// compressible says whether bodies of a media type become smaller. A stream of events
// is not: what is held back to be compressed would arrive late.
func compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	switch mediaType {
	case "text/event-stream":
		return false
	case "application/json", "application/javascript", "application/xml", "image/svg+xml":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json")
}

// eligible says whether an answer may be compressed, by all but its size.
func eligible(status int, h http.Header) bool {
	switch status {
	case http.StatusNoContent, http.StatusNotModified, http.StatusPartialContent, http.StatusSwitchingProtocols:
		return false
	}
	return len(h["Content-Encoding"]) == 0 && compressible(h.Get("Content-Type")) &&
		!strings.Contains(h.Get("Cache-Control"), "no-transform") // RFC 9110, section 7.7
}
