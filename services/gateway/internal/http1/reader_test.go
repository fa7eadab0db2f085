package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"time"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// final reads the first answer that is not informational with net/http.
func final(answer []byte, r *http.Request) (*http.Response, error) {
	in := newReader(bytes.NewReader(answer))
	for {
		res, err := http.ReadResponse(in, r)
		if err != nil || res.StatusCode >= http.StatusOK {
			return res, err
		}
	}
}

// slowly answers "/" never, "/header" and "/body" up to there, and "/later" after a
// while.
func slowly(release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/later":
			select {
			case <-release:
			case <-time.After(120 * time.Millisecond):
			}
			_, _ = io.WriteString(w, "late")
			return
		case "/header":
			raw, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer raw.Close()
			_, _ = io.WriteString(raw, "HTTP/1.1 200 OK\r\nContent-")
		case "/body":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}
}

// readAll makes a call and reads its answer.
func (u *upstream) readAll(r *http.Request) error {
	res, err := u.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
