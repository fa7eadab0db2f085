package httpapi_test

import (
	"log/slog"
	"testing"

	"ecommerce-stack.dev/services/auth/internal/httpapi"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestDocumentIsComplete(t *testing.T) {
	t.Parallel()
	srv := server.New(server.Options{Name: "auth", Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewRegistry("auth"),
		Health: health.New(), Verifier: authntest.New(t).Verifier(t)})
	api := httpapi.API{}
	api.Register(srv.API())
	servertest.CheckDocument(t, srv.Handler())
}
