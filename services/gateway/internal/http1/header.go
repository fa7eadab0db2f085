package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// readHeader reads one header (RFC 9112, sections 4 to 6) and what it says of the body
// and of the connection.
func (c *conn) readHeader(r *http.Request, limit int) (*http.Response, error) {
	block, err := readBlock(c.in, limit)
	if err != nil {
		return nil, err
	}
	// One string holds all: the fields are parts of it.
	text := string(block)
	line, text, _ := strings.Cut(text, "\n")
	line, ok := strings.CutSuffix(line, "\r")
	if !ok || !fieldValue(line) {
		return nil, errMalformed
	}
	res, err := statusLine(line)
	if err != nil {
		return nil, err
	}
	res.Request = r
	if res.Header, err = fields(text); err != nil {
		return nil, err
	}
	return res, c.frame(r, res)
}

// readBlock reads up to the empty line that ends a header, which is left out. It is
// valid until the next read.
func readBlock(in *bufio.Reader, limit int) ([]byte, error) {
	for seen := 0; ; {
		buffered, err := in.Peek(max(in.Buffered(), seen+1))
		// The end of a header may lie where the last look ended.
		if end := endOf(buffered, max(0, seen-3)); end > 0 {
			_, err := in.Discard(end)
			return buffered[:end], err
		}
		if err != nil {
			if len(buffered) == in.Size() {
				return readLong(in, limit)
			}
			return nil, err
		}
		if seen = len(buffered); seen >= limit {
			return nil, errTooLarge
		}
	}
}

// endOf is where a header ends, or 0.
func endOf(b []byte, from int) int {
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return 0
}

// readLong reads a header that is larger than the buffer.
func readLong(in *bufio.Reader, limit int) ([]byte, error) {
	var block []byte
	for len(block) < limit {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, errTooLarge // One line fills the buffer, or nothing follows.
		}
		block = append(block, line...)
		if len(line) == 2 && len(block) > 2 {
			return block, nil
		}
	}
	return nil, errTooLarge
}

func statusLine(line string) (*http.Response, error) {
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 {
		return nil, errMalformed
	}
	res := &http.Response{StatusCode: status, Status: rest, Proto: proto, ProtoMajor: 1, ProtoMinor: 1}
	switch proto {
	case "HTTP/1.1":
	case "HTTP/1.0":
		res.ProtoMinor = 0
	default:
		return nil, errMalformed
	}
	return res, nil
}

// fields reads the lines after the first, up to the empty one. A line that continues
// the one before, a name with a space or a control character in a value are malformed:
// another reader might see other fields.
func fields(text string) (http.Header, error) {
	lines := strings.Count(text, "\n")
	header := make(http.Header, lines)
	slab := make([]string, 0, lines)
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line, ok := strings.CutSuffix(line, "\r")
		if !ok {
			return nil, errMalformed
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !token(name) {
			return nil, errMalformed
		}
		if value = strings.Trim(value, " \t"); !fieldValue(value) {
			return nil, errMalformed
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if before, again := header[name]; again {
			header[name] = append(before, value)
			continue
		}
		slab = append(slab, value)
		header[name] = slab[len(slab)-1 : len(slab) : len(slab)]
	}
	return header, nil
}

// token says that s is a field's name (RFC 9110, section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenByte = func() (table [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
	}
	return table
}()

// frame says how long the body is and whether the connection goes on after it (RFC
// 9112, sections 6.3 and 9.3).
func (c *conn) frame(r *http.Request, res *http.Response) error {
	c.length, c.chunked = -1, false
	c.keep = res.ProtoMinor == 1 && !names(res.Header["Connection"], "close")
	coding, lengths := res.Header["Transfer-Encoding"], res.Header["Content-Length"]
	switch {
	case r.Method == http.MethodHead || res.StatusCode < http.StatusOK ||
		res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified:
		c.length = 0
	case len(coding) > 0:
		if res.ProtoMinor == 0 || len(coding) > 1 || !strings.EqualFold(coding[0], "chunked") || len(lengths) > 0 {
			return errMalformed
		}
		c.chunked = true
		delete(res.Header, "Transfer-Encoding")
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 || lengths[0][0] == '+' {
			return errMalformed
		}
		c.length = int64(n)
	default:
		c.keep = false // Its end is the connection's.
	}
	res.ContentLength = c.length
	return nil
}

// names says whether a list has a token.
func names(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
