package compression

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEncodingsAreWeighed(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"gzip": true, "GZIP": true, "x-gzip": true, "br, gzip": true, "*": true, "gzip;q=0.001": true, "gzip ; Q=1.0": true,
		"identity;q=0, *;q=0.5": true, "gzip, identity": true, "gzip;q=0.5, identity;q=0.4": true,
		"": false, "br": false, "identity": false, "gzip;q=0": false, "gzip;q=0, *": false, "*;q=0": false,
		"gzip;q=0.4, identity;q=0.5": false, "gzip;q=x": false, "gzip;q=2": false, "gzip;q=NaN": false, "gzip;v=1": false, "gzipped": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := Accepted(r); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if Accepted(r) {
		t.Error("a request without the header is answered with gzip")
	}
	r.Header["Accept-Encoding"] = []string{"br", "gzip"}
	if !Accepted(r) {
		t.Error("the second of two headers is not read")
	}
	if r.Method = http.MethodHead; Accepted(r) {
		t.Error("HEAD is answered with gzip")
	}
}

func TestOnlyTextIsCompressible(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"application/json": true, "application/problem+json": true, "application/openapi+json": true, "text/html; charset=utf-8": true,
		"Text/CSS": true, "application/javascript": true, "image/svg+xml": true,
		"text/event-stream": false, "text/event-stream; charset=utf-8": false, "image/png": false, "": false, "application/octet-stream": false,
	} {
		if got := compressible(contentType); got != want {
			t.Errorf("%q: %v, want %v", contentType, got, want)
		}
	}
}

func TestTagsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{`"3"`: `"3;gzip"`, `W/"3"`: `W/"3;gzip"`, `"3;gzip"`: `"3;gzip"`, "": "", `"`: `"`, "broken": "broken"} {
		got := tagged(tag)
		if got != want {
			t.Errorf("the compressed form of %s has the tag %s, want %s", tag, got, want)
		}
		if plain := Plain(got); !strings.HasSuffix(tag, mark) && plain != tag {
			t.Errorf("%s becomes %s, want %s", got, plain, tag)
		}
	}
	received := http.Header{"If-Match": {`"1;gzip", "2"`, `"3;gzip"`}, "If-None-Match": {`"4"`}}
	sent := received.Clone()
	for name, values := range received {
		sent[name] = values // as a proxy shares them
	}
	PlainTags(sent)
	if got := strings.Join(sent["If-Match"], " | "); got != `"1", "2" | "3"` {
		t.Errorf("If-Match is sent as %s", got)
	}
	if received["If-Match"][0] != `"1;gzip", "2"` {
		t.Errorf("the received header became %q", received["If-Match"])
	}
}

// answer gives what a client receives when h writes with a Writer.
func answer(h func(w *Writer)) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w := NewWriter(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	w.Header().Set("Content-Type", "application/json")
	h(w)
	return rec
}

func read(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	if rec.Header().Get("Content-Encoding") == "" {
		return rec.Body.String()
	}
	gz, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestTheSizeDecidesHoweverTheBodyIsWritten(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, MinSize - 1, MinSize, 10 * MinSize} {
		for _, piece := range []int{1, 7, MinSize, 20 * MinSize} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			rec := answer(func(w *Writer) {
				w.WriteHeader(http.StatusAccepted)
				for rest := body; rest != ""; {
					n := min(piece, len(rest))
					if written, err := io.WriteString(w, rest[:n]); written != n || err != nil {
						t.Errorf("Write = %d, %v", written, err)
					}
					rest = rest[n:]
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			})
			encoded := rec.Header().Get("Content-Encoding") == Encoding
			if encoded != (size >= MinSize) || rec.Code != http.StatusAccepted {
				t.Errorf("%d bytes in pieces of %d: status %d, encoded %v", size, piece, rec.Code, encoded)
			}
			if got := read(t, rec); got != body {
				t.Errorf("%d bytes in pieces of %d arrive as %d", size, piece, len(got))
			}
		}
	}
}

func TestAFlushSendsWhatThereIs(t *testing.T) {
	t.Parallel()
	rec := answer(func(w *Writer) {
		_, _ = io.WriteString(w, `{"a":`)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	gz, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(gz, got); err != nil || string(got) != `{"a":` || !rec.Flushed {
		t.Errorf("after a flush %q arrived (%v), flushed %v", got, err, rec.Flushed)
	}
}

func TestABodyIsCompressedOnce(t *testing.T) {
	t.Parallel()
	body := NewBody([]byte(strings.Repeat("0123456789", 1000)))
	first := body.compressed()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	body.Send(rec, r, http.StatusOK)
	if again := body.compressed(); &first[0] != &again[0] || rec.Body.String() != string(first) {
		t.Error("it was compressed twice")
	}
}

func TestWhoAsksForNothingCostsNothing(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	allocs := testing.AllocsPerRun(100, func() {
		if Accepted(r) {
			t.Error("it is compressed")
		}
		PlainTags(r.Header)
	})
	if allocs != 0 {
		t.Errorf("a request without Accept-Encoding makes %v allocations", allocs)
	}
}
