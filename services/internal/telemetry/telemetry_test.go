package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/telemetry"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestLogLineHasContextIDsAndNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, "auth", slog.LevelInfo)
	ctx := telemetry.Begin(t.Context(), "req-1", parent)
	log.DebugContext(ctx, "too low")
	log.With("refresh_token", "hunter2").InfoContext(ctx, "hello",
		slog.Group("login", slog.String("Password", "hunter2")), slog.Any("mysqlDSN", []string{"hunter2"}))

	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for name, want := range map[string]string{
		"service": "auth", "version": "dev", "msg": "hello", "requestId": "req-1",
		"traceId": "0af7651916cd43dd8448eb211c80319c", "refresh_token": "[redacted]",
	} {
		if line[name] != want {
			t.Errorf("%s = %v, want %v", name, line[name], want)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret was logged: %s", out.String())
	}
}

func TestTraceParentsFromOutsideAreChecked(t *testing.T) {
	t.Parallel()
	for tp, want := range map[string]bool{
		parent:                                  true,
		"01" + parent[2:] + "-what-comes-later": true,
		"":                                      false,
		"ff" + parent[2:]:                       false,
		parent + "-x":                           false,
		parent + "x":                            false,
		strings.ToUpper(parent):                 false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": false,
		"01" + parent[2:] + "-" + strings.Repeat("x", 300):        false,
	} {
		if got := telemetry.ValidTraceParent(tp); got != want {
			t.Errorf("ValidTraceParent(%q) = %v, want %v", tp, got, want)
		}
	}
}

func TestIdentifyContinuesTraceWithNewSpan(t *testing.T) {
	t.Parallel()
	_, child := telemetry.Identify("", parent)
	if child[:36] != parent[:36] || child[36:52] == parent[36:52] || !telemetry.ValidTraceParent(child) {
		t.Errorf("child of %s is %s", parent, child)
	}
	fresh := telemetry.TraceParent(telemetry.WithTraceParent(t.Context(), "nonsense"))
	if !telemetry.ValidTraceParent(fresh) {
		t.Errorf("an invalid traceparent became %q", fresh)
	}
	if id := telemetry.TraceID(t.Context()); id != "" {
		t.Errorf("TraceID of a bare context = %q", id)
	}
}

func TestRequestIDsFromOutsideAreBounded(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"a-B_9.:": true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, "a b": false, "a\nb": false, "é": false,
	} {
		if got := telemetry.ValidRequestID(id); got != want {
			t.Errorf("ValidRequestID(%q) = %v, want %v", id, got, want)
		}
		got, _ := telemetry.Identify(id, parent)
		if want != (got == id) {
			t.Errorf("the request id %q became %q", id, got)
		}
		if !want && (!uuid4.MatchString(got) || !telemetry.ValidRequestID(got)) {
			t.Errorf("the new request id %q is not a UUID of version 4", got)
		}
	}
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestRegistryHasBuildInfo(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	telemetry.MetricsHandler(telemetry.NewRegistry("auth")).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`build_info{commit="unknown"`, `service="auth"`, "go_goroutines", "process_"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
