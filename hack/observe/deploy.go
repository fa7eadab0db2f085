package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/kube"
	"ecommerce-stack.dev/hack/internal/progress"
)

const crd = "ecommercestacks.ecommerce-stack.dev"

// deploy applies the manifests of the servers, removes servers of an earlier run that are not
// among them, and waits until all are ready.
func deploy(ctx context.Context, p *progress.Printer, cluster *kube.Cluster, servers []server) error {
	all, err := manifests(servers)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range servers {
		names = append(names, s.Name)
	}
	if err := p.Run("apply the manifests", func(func(string)) error {
		if _, err := cluster.Run(ctx, all, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=observe", "--filename=-"); err != nil {
			return err
		}
		_, err := cluster.Run(ctx, "", "kubectl", "--namespace", namespace, "delete", "deployments,services",
			"--selector=app.kubernetes.io/name,app.kubernetes.io/name notin ("+strings.Join(names, ",")+")")
		return err
	}); err != nil {
		return err
	}
	return p.Run("wait until "+strings.Join(names, ", ")+" are ready", func(detail func(string)) error {
		for _, name := range names {
			detail(name)
			if _, err := cluster.Run(ctx, "", "kubectl", "--namespace", namespace, "rollout", "status", "deployment/"+name, "--timeout=3m"); err != nil {
				// Why a container ends is in its log.
				log, _ := cluster.Run(ctx, "", "kubectl", "--namespace", namespace, "logs", "deployment/"+name, "--tail=3")
				return errors.Join(err, errors.New(log), fmt.Errorf("see `kubectl -n %s describe pods -l app.kubernetes.io/name=%s` and `kubectl -n %[1]s logs deploy/%[2]s`", namespace, name))
			}
		}
		return nil
	})
}

// podsTimeout bounds the time until the former pods of a stack have ended.
const podsTimeout = 3 * time.Minute

// endpoint receives the traces of stacks.
const endpoint = "http://jaeger." + namespace + ".svc:4318"

// trace lets the stack send all its traces to Jaeger. It says so if the operator does not
// support that.
func trace(ctx context.Context, p *progress.Printer, cluster *kube.Cluster, stackNamespace, stack string) error {
	return p.Run("let stack "+stackNamespace+"/"+stack+" send traces", func(detail func(string)) error {
		out, err := cluster.Run(ctx, "", "kubectl", "explain", "ecommercestacks.spec.observability.tracing")
		if err != nil && strings.Contains(err.Error(), "does not exist") {
			p.Printf("  ! %s has no spec.observability.tracing: Jaeger gets no traces. Update the operator with `make reload`, then run this again.", crd)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		if err := patchTracing(ctx, cluster, stackNamespace, stack, map[string]any{"endpoint": endpoint, "samplingRatio": "1"}); err != nil {
			return err
		}
		detail("waiting until it is Ready again")
		if err := awaitReady(ctx, cluster, stackNamespace, stack); err != nil {
			return err
		}
		detail("waiting until the former pods have ended")
		return awaitTracedPods(ctx, cluster, stackNamespace, stack)
	})
}

// awaitTracedPods waits until no pod of the services remains that sends no traces. A stack is
// Ready before its former pods have ended, and these still have connections of clients.
func awaitTracedPods(ctx context.Context, cluster *kube.Cluster, stackNamespace, stack string) error {
	err := wait.PollUntilContextTimeout(ctx, time.Second, podsTimeout, true, func(ctx context.Context) (bool, error) {
		variables, err := cluster.Run(ctx, "", "kubectl", "--namespace", stackNamespace, "get", "pods",
			"--selector=app.kubernetes.io/instance="+stack+",app.kubernetes.io/name in (auth,gateway,sales,stock)",
			`--output=jsonpath={range .items[*]}{.spec.containers[*].env[*].name}{"\n"}{end}`)
		if err != nil {
			return false, err
		}
		for pod := range strings.Lines(variables) {
			if !strings.Contains(pod, "OTEL_EXPORTER_OTLP_ENDPOINT") {
				return false, nil
			}
		}
		return variables != "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for pods that send traces, see `kubectl -n %s get pods`: %w", stackNamespace, err)
	}
	return nil
}

// awaitReady waits until the stack is Ready at its present spec, which includes the rollout.
func awaitReady(ctx context.Context, cluster *kube.Cluster, stackNamespace, stack string) error {
	if _, err := cluster.Run(ctx, "", "kubectl", "--namespace", stackNamespace, "wait", "ecommercestack/"+stack, "--for=condition=Ready", "--timeout=5m"); err != nil {
		return errors.Join(err, fmt.Errorf("see `kubectl -n %s describe estack %s`", stackNamespace, stack))
	}
	return nil
}

// untrace removes the setting of trace, unless the stack has another endpoint or does not
// exist.
func untrace(ctx context.Context, cluster *kube.Cluster, stackNamespace, stack string) error {
	now, err := cluster.Run(ctx, "", "kubectl", "--namespace", stackNamespace, "get", "ecommercestack", stack, "--ignore-not-found",
		"--output=jsonpath={.spec.observability.tracing.endpoint}")
	if err != nil || now != endpoint {
		return err
	}
	return patchTracing(ctx, cluster, stackNamespace, stack, nil)
}

func patchTracing(ctx context.Context, cluster *kube.Cluster, stackNamespace, stack string, tracing map[string]any) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"observability": map[string]any{"tracing": tracing}}})
	if err != nil {
		return err
	}
	_, err = cluster.Run(ctx, "", "kubectl", "--namespace", stackNamespace, "patch", "ecommercestack", stack, "--type=merge", "--patch="+string(patch))
	return err
}

// instructions returns what to do next.
func instructions(servers []server, registry bool) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\nThe servers run in namespace %s. Each command opens one of them until Ctrl-C:\n\n", namespace)
	text.WriteString("  export KUBECONFIG=$(make -s kubeconfig) PATH=$(go run ./hack/cluster clients):$PATH\n")
	for _, s := range servers {
		path := apis[s.Name]
		if registry {
			path = "/"
		}
		fmt.Fprintf(&text, "  kubectl -n %s port-forward svc/%s %d   # http://localhost:%[3]d%s\n", namespace, s.Name, s.Ports[0].Port, path)
	}
	if !registry {
		text.WriteString(withoutRegistry)
	}
	text.WriteString("\nPlace orders with `make demo`. `make observe-down` removes the servers.")
	return text.String()
}

const withoutRegistry = `
This cluster pulls no images. Grafana is left out, because it cannot be built from a Go module: import the dashboards of
config/grafana into a Grafana of yours, with Prometheus above as its data source. The published Go modules of the servers do
not contain their web pages. Examples of the APIs:

  curl -s localhost:9090/api/v1/query --data-urlencode 'query=sum by (status) (ecommerce_sales_decided_total)' | jq .data.result
  curl -s localhost:9093/api/v2/alerts | jq '.[].labels'
`

// apis are the paths at which servers without pages are most useful.
var apis = map[string]string{"prometheus": "/api/v1/alerts", "alertmanager": "/api/v2/alerts", "jaeger": "/api/traces?service=gateway"}
