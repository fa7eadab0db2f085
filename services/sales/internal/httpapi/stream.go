package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Limits of a stream. A comment is sent every keepAlive, so that proxies keep the connection
// open and all servers on the path notice soon that the client has disconnected. A client
// that does not receive data for streamTimeout is disconnected.
const (
	keepAlive     = 5 * time.Second
	streamTimeout = 10 * time.Second
	streamPage    = 100
)

type streamSale struct {
	SalePath
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"Id of the last event that was received" example:"900"`
}

func (a *API) registerStream(api huma.API) {
	op := operation(http.MethodGet, "/sales/{id}/stream", "stream-sale-events",
		"Follow the timeline of a sale as server-sent events until it is decided", http.StatusNotFound)
	op.Responses = map[string]*huma.Response{
		"200": {
			Description: "One event per entry of the timeline; its id, type and data are those of the entry",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		},
		"204": {Description: "The client has received the deciding event, and there will be no other one"},
	}
	huma.Register(api, server.Slow(op, 0), a.stream)
}

func (a *API) stream(ctx context.Context, in *streamSale) (*huma.StreamResponse, error) {
	// A client that may not read the sale must get an error before the stream begins.
	past, err := a.Store.Timeline(ctx, in.ID, callerID(ctx), 0, streamPage)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.LastEventID, 10, 64)
	if slices.ContainsFunc(past, func(e sale.Entry) bool { return e.IsDecision() && e.ID <= after }) {
		// An EventSource connects again after each end of a stream, except after a 204 (HTML,
		// section 9.2).
		return &huma.StreamResponse{Body: func(hctx huma.Context) { hctx.SetStatus(http.StatusNoContent) }}, nil
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humachi.Unwrap(hctx)
		added, stop, err := a.Watcher.Subscribe(in.ID, lastID(past))
		if err != nil {
			problem.Write(w, r, problem.From(err))
			return
		}
		defer stop()
		hctx.SetHeader("Content-Type", "text/event-stream")
		hctx.SetHeader("Cache-Control", "no-store")
		hctx.SetHeader("X-Accel-Buffering", "no")
		if r.Method == http.MethodHead {
			return
		}
		telemetry.SetLong(hctx.Context())
		f := follower{past, after, added, a.Draining}
		f.follow(hctx.Context(), &sink{w: w, control: http.NewResponseController(w)})
	}}, nil
}

// lastID returns the id of the last of some entries, or 0.
func lastID(entries []sale.Entry) int64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].ID
}

// follower sends the timeline of a sale while it grows.
type follower struct {
	past     []sale.Entry        // entries that existed when the stream began
	after    int64               // id of the last entry that the client has received
	added    <-chan []sale.Entry // entries that were added since
	draining <-chan struct{}
}

// follow returns after the deciding entry, when the client disconnects, or when the server
// stops. A client that reconnects continues with Last-Event-ID.
func (f follower) follow(ctx context.Context, out *sink) {
	if out.write(": connected\n\n") != nil || out.entries(f.past, f.after) {
		return
	}
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	for {
		select {
		case added := <-f.added:
			if out.entries(added, 0) {
				return
			}
		case <-idle.C:
			if out.write(": still pending\n\n") != nil {
				return
			}
		case <-f.draining:
			return
		case <-ctx.Done():
			return
		}
	}
}

// sink writes server-sent events.
type sink struct {
	w       io.Writer
	control *http.ResponseController
}

// entries sends the entries with ids above after, up to the deciding one. It reports whether
// the stream has ended, because the sale is decided or the client has disconnected.
func (s *sink) entries(entries []sale.Entry, after int64) (ended bool) {
	for _, e := range entries {
		if e.ID > after && (s.entry(e) != nil || e.IsDecision()) {
			return true
		}
	}
	return false
}

func (s *sink) entry(e sale.Entry) error {
	data, err := json.Marshal(entryOf(e))
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data))
}

func (s *sink) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}
