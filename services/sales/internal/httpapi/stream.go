package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Times of a stream: a comment is sent at an interval, so that proxies keep the connection
// and every hop soon finds out that the client has left. A client that receives nothing
// for streamTimeout is disconnected.
const (
	keepAlive     = 5 * time.Second
	streamTimeout = 10 * time.Second
	streamPage    = 100
)

type streamSale struct {
	OfSale
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"Continue after this event" example:"900"`
}

func (a *API) registerStream(api huma.API) {
	op := operation(http.MethodGet, "/sales/{id}/stream", "stream-sale-events",
		"Follow the timeline of a sale as server-sent events until it is decided", http.StatusNotFound)
	op.Responses = map[string]*huma.Response{"200": {
		Description: "One event per entry of the timeline; its id, type and data are those of the entry",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	huma.Register(api, server.Slow(op, 0), a.stream)
}

func (a *API) stream(ctx context.Context, in *streamSale) (*huma.StreamResponse, error) {
	// A customer who may not see the sale must be refused before the stream begins.
	past, err := a.Store.Timeline(ctx, in.ID, customer(ctx), 0, streamPage)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.LastEventID, 10, 64)
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

// follower sends the timeline of a sale as it grows.
type follower struct {
	past     []sale.Entry        // that there were when the stream began
	after    int64               // the id of the past entry that the client has received last
	added    <-chan []sale.Entry // since then
	draining <-chan struct{}
}

// follow ends with the deciding entry, when the client leaves, or when the server stops. A
// client that reconnects continues where it was by Last-Event-ID.
func (f follower) follow(ctx context.Context, out *sink) {
	if out.write(": connected\n\n") != nil || out.entries(f.past, f.after) {
		return
	}
	quiet := time.NewTicker(keepAlive)
	defer quiet.Stop()
	for {
		select {
		case added := <-f.added:
			if out.entries(added, 0) {
				return
			}
		case <-quiet.C:
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

// entries sends those with ids above after, up to the deciding one. It reports whether the
// stream has ended: the sale is decided, or the client has left.
func (s *sink) entries(entries []sale.Entry, after int64) (ended bool) {
	for _, e := range entries {
		switch {
		case e.ID <= after:
			ended = ended || e.Decides()
		case s.entry(e) != nil, e.Decides():
			return true
		}
	}
	return ended
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
