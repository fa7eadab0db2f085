package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
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
