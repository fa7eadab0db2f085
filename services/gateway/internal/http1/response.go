package http1

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxGathered bytes of a body wait for its end, so that its length can be told.
const maxGathered = 16 << 10

// response implements http.ResponseWriter.
type response struct {
	conn   *serverConn
	header http.Header
	began  time.Time
	head   bool // of a HEAD request
	last   bool // the connection ends after it

	status    int   // 0 until WriteHeader
	declared  int64 // Content-Length, -1 when the handler named none
	typed     bool  // there is a Content-Type
	dated     bool
	sent      bool // the header is on its way
	chunked   bool
	written   int64
	gathered  []byte
	finished  bool
	moveWrite bool // the handler set a deadline of its own
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. What the handler does to the header from
// now on changes nothing.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || w.finished {
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("status %d", status)) // as net/http does: it is the handler's fault
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		_ = w.inform(status, w.header)
		return
	}
	w.status = status
	w.conn.set = w.fields(w.conn.set[:0])
}

// inform sends a header that is not the last one.
func (w *response) inform(status int, h http.Header) error {
	if w.sent || w.status != 0 {
		return nil
	}
	out := appendStatus(w.conn.out[:0], status)
	for name, values := range h {
		out = appendField(out, name, values)
	}
	out = append(out, "\r\n"...)
	w.conn.out = out[:0]
	w.arm()
	return w.conn.write(out)
}

// fields writes what the handler has set, without what says where the answer ends,
// which is ours to say.
func (w *response) fields(b []byte) []byte {
	for name, values := range w.header {
		switch name {
		case "Content-Length":
			if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
				w.declared = n
			}
			continue
		case "Transfer-Encoding":
			continue
		case "Connection":
			w.last = w.last || names(values, "close")
			continue
		case "Content-Type":
			w.typed = true
		case "Date":
			w.dated = true
		}
		b = appendField(b, name, values)
	}
	return b
}

func appendField(b []byte, name string, values []string) []byte {
	if !token(name) {
		return b
	}
	for _, v := range values {
		b = append(append(b, name...), ": "...)
		if fieldValue(v) {
			b = append(b, v...)
		} else {
			b = append(b, strings.Map(harmless, v)...)
		}
		b = append(b, "\r\n"...)
	}
	return b
}

// harmless keeps a value from being more than one field.
func harmless(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// bodyAllowed says whether an answer of a status has a body (RFC 9110, section 6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	switch {
	case w.finished:
		return 0, errors.New("the handler has ended")
	case w.status == 0:
		w.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.written += int64(len(p)); w.declared >= 0 && w.written > w.declared {
		w.written -= int64(len(p))
		return 0, http.ErrContentLength
	}
	if w.head {
		if !w.typed && !w.sent {
			w.typed = true
			w.conn.set = appendField(w.conn.set, "Content-Type", []string{http.DetectContentType(p)})
		}
		return len(p), nil
	}
	if !w.sent && len(w.gathered)+len(p) <= maxGathered {
		if w.gathered == nil && w.declared >= 0 && int64(len(p)) == w.declared {
			return len(p), w.send(p) // the whole of it
		}
		w.gathered = append(w.gathered, p...)
		return len(p), nil
	}
	if err := w.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes the header, if it is not sent, with what was gathered, and p.
func (w *response) send(p []byte) error {
	out := w.conn.out[:0]
	if !w.sent {
		out = w.begin(out, p)
		out = w.chunk(out, w.gathered)
		w.gathered = nil
	}
	large := len(p) > maxGathered
	if w.chunked && len(p) > 0 {
		out = append(strconv.AppendInt(out, int64(len(p)), 16), "\r\n"...)
	}
	var err error
	w.arm()
	if large {
		tail := ""
		if w.chunked {
			tail = "\r\n"
		}
		err = w.conn.writeAll(out, p, []byte(tail))
	} else {
		out = append(out, p...)
		if w.chunked && len(p) > 0 {
			out = append(out, "\r\n"...)
		}
		if len(out) > 0 {
			err = w.conn.write(out)
		}
	}
	w.conn.out = out[:0]
	return err
}

// chunk adds a part of the body.
func (w *response) chunk(out, part []byte) []byte {
	if len(part) == 0 || !w.chunked {
		return append(out, part...)
	}
	out = append(strconv.AppendInt(out, int64(len(part)), 16), "\r\n"...)
	return append(append(out, part...), "\r\n"...)
}

// begin writes the header; sample is the beginning of the body if nothing was gathered.
func (w *response) begin(out, sample []byte) []byte {
	w.sent = true
	out = append(appendStatus(out, w.status), w.conn.set...)
	if len(w.gathered) > 0 {
		sample = w.gathered
	}
	if !w.typed && bodyAllowed(w.status) && len(sample) > 0 {
		out = appendField(out, "Content-Type", []string{http.DetectContentType(sample)})
	}
	if !w.dated {
		out = append(append(append(out, "Date: "...), date(w.began)...), "\r\n"...)
	}
	switch {
	case w.declared >= 0 && w.status != http.StatusNoContent:
		out = append(strconv.AppendInt(append(out, "Content-Length: "...), w.declared, 10), "\r\n"...)
	case !bodyAllowed(w.status) || w.head:
	case w.last:
		// The end of the connection ends it.
	default:
		w.chunked = true
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if w.last = w.last || w.conn.server.isClosing(); w.last {
		out = append(out, "Connection: close\r\n"...)
	}
	return append(out, "\r\n"...)
}

// finish ends the answer.
func (w *response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.finished = true
	if !w.sent {
		if w.declared < 0 && bodyAllowed(w.status) && (!w.head || w.written > 0) {
			w.declared = w.written
		}
		if !w.head && bodyAllowed(w.status) && w.declared > w.written {
			w.last = true
		}
		_ = w.send(nil) // conn.broken says whether it failed
		return
	}
	if w.chunked {
		w.arm()
		_ = w.conn.write([]byte("0\r\n\r\n"))
	}
	w.last = w.last || !w.head && w.declared > w.written
}

// arm sets the deadline of writing, from now on, unless the handler did.
func (w *response) arm() {
	if !w.moveWrite {
		w.conn.writeUntil(time.Now(), w.conn.server.Limits.Write)
	}
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError implements the interface that http.ResponseController looks for.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent && w.gathered == nil {
		return nil
	}
	return w.send(nil)
}

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.moveWrite = true
	w.conn.writeBy = time.Time{} // The next request sets its own.
	return w.conn.SetWriteDeadline(t)
}

// SetReadDeadline is for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	w.conn.readBy = time.Time{}
	return w.conn.SetReadDeadline(t)
}
