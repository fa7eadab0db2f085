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

	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Times of a stream: a comment is sent when nothing happened for a while, so that
// proxies keep the connection; a client that takes nothing is given up.
const (
	keepAlive     = 15 * time.Second
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
	// Whoever may not see the sale is told so before the stream begins.
	if _, err := a.Store.Sale(ctx, in.ID, customer(ctx)); err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.LastEventID, 10, 64)
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/event-stream")
		hctx.SetHeader("Cache-Control", "no-store")
		hctx.SetHeader("X-Accel-Buffering", "no")
		_, w := humachi.Unwrap(hctx)
		a.follow(hctx.Context(), &sink{w: w, control: http.NewResponseController(w)}, in.ID, after)
	}}, nil
}

// follow sends the timeline as it grows. It ends with the deciding entry, when the
// client goes, or when the server stops; a client that reconnects goes on where it
// was by Last-Event-ID.
func (a *API) follow(ctx context.Context, out *sink, id, after int64) {
	changed, stop := a.Watch.Subscribe(id)
	defer stop()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	quiet := time.Now()
	for {
		entries, err := a.Store.Timeline(ctx, id, customer(ctx), after, streamPage)
		if err != nil && ctx.Err() != nil {
			return
		}
		for _, e := range entries {
			if out.entry(e) != nil || e.Decides() {
				return
			}
			after, quiet = e.ID, time.Now()
		}
		if len(entries) == 0 && a.ended(ctx, id) {
			return
		}
		if time.Since(quiet) > keepAlive {
			if out.write(": still pending\n\n") != nil {
				return
			}
			quiet = time.Now()
		}
		select {
		case <-changed:
		case <-look.C:
		case <-a.Draining:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ended says whether the sale is decided: a client may ask to go on after the
// deciding entry.
func (a *API) ended(ctx context.Context, id int64) bool {
	s, err := a.Store.Sale(ctx, id, customer(ctx))
	return err == nil && s.Decided()
}

// sink writes server-sent events.
type sink struct {
	w       io.Writer
	control *http.ResponseController
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
