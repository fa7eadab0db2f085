package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"ecommerce-stack.dev/hack/internal/tiltfile"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// TestLinksOfTheTiltfileRespond requests the links to the gateway, and the forwarded metrics of
// the pods that each resource follows. Links to Grafana need `make observe`.
func TestLinksOfTheTiltfileRespond(t *testing.T) {
	needsCluster(t)
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	const port = 12345 // replaced by the gateway's
	links, err := tiltfile.Run(root, "ecommerce-stack", map[string]starlark.Value{"port": starlark.MakeInt(port)})
	if err != nil {
		t.Fatal(err)
	}
	requested := 0
	for resource := range links.Resources {
		for _, link := range links.Links(resource) {
			path, ok := strings.CutPrefix(link, fmt.Sprintf("http://localhost:%d", port))
			if !ok {
				continue
			}
			requested++
			if status, err := statusOf(t.Context(), gatewayURL+path); err != nil || status != http.StatusOK {
				t.Errorf("%s: the link to %s responds with %d, %v", resource, path, status, err)
			}
		}
		space, instance := namespace, stack
		if resource == "operator" {
			space, instance = "ecommerce-system", "ecommerce"
		}
		for _, forward := range links.Forwards(resource) {
			requested++
			pod := runningPod(t, space, instance, resource)
			out := mustKubectl(t, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy%s", space, pod, forward.Container, forward.Path))
			if !strings.Contains(out, "go_goroutines") {
				t.Errorf("%s: the forwarded port responds with %.200q", resource, out)
			}
		}
	}
	if requested < 11 {
		t.Errorf("%d links were requested, want those of 4 services, the stack and the operator", requested)
	}
}

func statusOf(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func runningPod(t *testing.T, namespace, instance, name string) string {
	t.Helper()
	return mustKubectl(t, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/instance="+instance+",app.kubernetes.io/name="+name,
		"--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
}
