package compression

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// level of the compression. A list of 50 products, 8795 bytes, becomes 859 in 24 µs at
// this level and 845 in 37 µs at the default one.
const level = gzip.BestSpeed

var gzips = sync.Pool{New: func() any {
	gz, _ := gzip.NewWriterLevel(nil, level) // the level is valid
	return gz
}}

func take(to io.Writer) *gzip.Writer {
	gz, _ := gzips.Get().(*gzip.Writer)
	gz.Reset(to)
	return gz
}

func give(gz *gzip.Writer) {
	gz.Reset(nil)
	gzips.Put(gz)
}

// Writer compresses an answer on its way to a client that accepts it, if the answer
// turns out to be fit. Close ends an answer that is complete; one that broke off is
// not closed, so that it looks broken off to the client.
type Writer struct {
	http.ResponseWriter
	r      *http.Request
	status int
	held   []byte       // the beginning of a body whose size is not known
	holds  bool         // the headers are not sent yet
	gz     *gzip.Writer // nil for what is sent as it is
}

// NewWriter is for a request that Accepted says yes to.
func NewWriter(w http.ResponseWriter, r *http.Request) *Writer {
	return &Writer{ResponseWriter: w, r: r}
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter. The headers of an answer whose size is
// not known yet wait for that.
func (w *Writer) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	h := w.Header()
	if status == http.StatusNotModified {
		tagNotModified(h, w.r)
	}
	if !eligible(status, h) {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	size, err := strconv.Atoi(h.Get("Content-Length"))
	switch {
	case err != nil:
		w.holds = true
	case size < MinSize:
		w.ResponseWriter.WriteHeader(status)
	default:
		w.pack()
	}
}

// pack sends the headers of a compressed answer.
func (w *Writer) pack() {
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	h["Content-Encoding"] = []string{Encoding}
	if tag := h.Get("Etag"); tag != "" {
		h["Etag"] = []string{tagged(tag)}
	}
	w.holds = false
	w.ResponseWriter.WriteHeader(w.status)
	w.gz = take(w.ResponseWriter)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.holds {
		if len(w.held)+len(p) < MinSize {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		if err := w.release(); err != nil {
			return 0, err
		}
	}
	if w.gz != nil {
		return w.gz.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// release compresses what was held and what follows.
func (w *Writer) release() error {
	w.pack()
	_, err := w.gz.Write(w.held)
	w.held = nil
	return err
}

// FlushError is for http.ResponseController: everything so far arrives.
func (w *Writer) FlushError() error {
	if w.holds {
		if err := w.release(); err != nil {
			return err
		}
	}
	if w.gz != nil {
		if err := w.gz.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Close ends the answer. What stayed small is sent as it is.
func (w *Writer) Close() error {
	if w.holds {
		w.holds = false
		w.ResponseWriter.WriteHeader(w.status)
		_, err := w.ResponseWriter.Write(w.held)
		return err
	}
	if w.gz == nil {
		return nil
	}
	err := w.gz.Close()
	give(w.gz)
	w.gz = nil
	return err
}
