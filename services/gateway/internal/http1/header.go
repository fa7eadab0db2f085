package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// parse reads one header of an answer (RFC 9112, sections 4 to 6) and what it says of
// the body and of the connection. The fields are parts of the text.
func (c *conn) parse(text, method string) (err error) {
	line, text, _ := strings.Cut(text, "\n")
	line, ok := strings.CutSuffix(line, "\r")
	if !ok || !fieldValue(line) {
		return errMalformed
	}
	if err := c.statusLine(line); err != nil {
		return err
	}
	if c.Fields, err = appendFields(emptied(c.Fields), text); err != nil {
		return err
	}
	return c.frame(method)
}

// wholeBlock is readBlock for a header that is here already, as most are, and nil for
// another one.
func wholeBlock(in *bufio.Reader) []byte {
	buffered, _ := in.Peek(in.Buffered())
	end := endOf(buffered, 0)
	if end == 0 {
		return nil
	}
	_, _ = in.Discard(end) // It is all there.
	return buffered[:end]
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

func (c *conn) statusLine(line string) error {
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 {
		return errMalformed
	}
	c.Status, c.status, c.minor = status, rest, 1
	switch proto {
	case "HTTP/1.1":
	case "HTTP/1.0":
		c.minor = 0
	default:
		return errMalformed
	}
	return nil
}

// frame says how long the body is and whether the connection goes on after it (RFC
// 9112, sections 6.3 and 9.3).
func (c *conn) frame(method string) error {
	var coding, length, closes string
	var codings, lengths int
	for _, f := range c.Fields {
		switch f.Name {
		case "Transfer-Encoding":
			coding, codings = f.Value, codings+1
		case "Content-Length":
			length, lengths = f.Value, lengths+1
		case "Connection":
			closes += "," + f.Value
		}
	}
	c.length, c.chunked = -1, false
	c.keep = c.minor == 1 && (closes == "" || !names([]string{closes}, "close"))
	switch {
	case method == http.MethodHead || c.Status < http.StatusOK ||
		c.Status == http.StatusNoContent || c.Status == http.StatusNotModified:
		c.length = 0
	case codings > 0:
		if c.minor == 0 || codings > 1 || !strings.EqualFold(coding, "chunked") || lengths > 0 {
			return errMalformed
		}
		c.chunked = true
	case lengths > 0:
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil || lengths > 1 || length[0] == '+' {
			return errMalformed
		}
		c.length = int64(n)
	default:
		c.keep = false // Its end is the connection's.
	}
	return nil
}
