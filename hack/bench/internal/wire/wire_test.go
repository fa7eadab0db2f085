package wire

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestRequestsShareAConnection(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Location", "/sales/"+r.Header.Get("Token"))
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(append([]byte(r.Method+" "+r.URL.Path+" "), body...))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := New(server.Listener.Addr().String())
	defer c.Close()
	for range 3 {
		a, err := c.Do(t.Context(), Request{Method: "POST", Path: "/sales", Header: "Token: 7\r\n", Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != 202 || a.Location != "/sales/7" || string(a.Body) != "POST /sales {}" {
			t.Errorf("%d, %q, %q: want 202, the header's value in Location, and the body", a.Status, a.Location, a.Body)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}
