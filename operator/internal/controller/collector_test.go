package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

func TestMetricsFollowTheStack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	certificate, key := selfSigned(t)
	f.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "shop-tls"},
		Data: map[string][]byte{"tls.crt": certificate, "tls.key": key}})
	f.stack.Spec.Gateway.TLS = &v1alpha1.GatewayTLSSpec{SecretName: "shop-tls"}
	f.makeReady(t)
	// A condition of another controller, whose type would be a label value without a limit.
	f.eventually(t, func(ctx context.Context) error {
		live := f.live(t)
		meta.SetStatusCondition(&live.Status.Conditions, metav1.Condition{Type: "Foreign", Status: metav1.ConditionTrue, Reason: "Test"})
		return api.Status().Update(ctx, live)
	})
	want := map[string]float64{"certificate shop-tls": float64(firstExpiry(certificate).Unix())}
	for _, condition := range f.live(t).Status.Conditions {
		if condition.Type == "Foreign" {
			continue
		}
		for _, status := range conditionStatuses {
			want["condition "+condition.Type+" "+string(status)] = 0
		}
		want["condition "+condition.Type+" "+string(condition.Status)] = 1
	}
	for _, credential := range credentials {
		if !slices.Contains([]string{"mysql-root", "mysql-exporter", "rabbitmq-admin"}, credential) { // of embedded servers
			secret := &corev1.Secret{}
			if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "demo-" + credential}, secret); err != nil {
				t.Fatal(err)
			}
			want["credential "+credential] = float64(secret.CreationTimestamp.Unix())
		}
	}
	f.eventually(t, func(context.Context) error {
		if diff := cmp.Diff(want, f.series(t)); diff != "" {
			return fmt.Errorf("series (-want +got):\n%s", diff)
		}
		return nil
	})
	if err := api.Delete(context.Background(), f.live(t)); err != nil {
		t.Fatal(err)
	}
	f.eventuallyGone(t, f.stack)
	f.eventually(t, func(context.Context) error {
		if got := f.series(t); len(got) > 0 {
			return fmt.Errorf("%d series of a deleted stack", len(got))
		}
		return nil
	})
}

// series returns the metrics of the fixture's stack by their names and labels.
func (f *fixture) series(t *testing.T) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for name, family := range gather(t) {
		what, ofStack := strings.CutPrefix(name, "ecommerce_stack_")
		for _, m := range family.GetMetric() {
			labels := labelsOf(m)
			if !ofStack || labels["namespace"] != f.namespace {
				continue
			}
			what, _, _ := strings.Cut(what, "_")
			key := []string{what}
			for _, label := range []string{"condition", "status", "credential", "secret"} {
				if value := labels[label]; value != "" {
					key = append(key, value)
				}
			}
			got[strings.Join(key, " ")] = m.GetGauge().GetValue()
		}
	}
	return got
}

func gather(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, family := range families {
		byName[family.GetName()] = family
	}
	return byName
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// TestOperatorMetricsAreBoundedAndDocumented checks every metric of the operator's own: each
// label has a fixed set of values or the name of an object, so that neither a user nor time
// can create series without a limit.
func TestOperatorMetricsAreBoundedAndDocumented(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	objectName := regexp.MustCompile(`^[a-z0-9][-a-z0-9.]{0,252}$`)
	var phaseNames, statuses []string
	for _, phase := range phases {
		phaseNames = append(phaseNames, phase.name)
	}
	for _, status := range conditionStatuses {
		statuses = append(statuses, string(status))
	}
	allowed := map[string][]string{
		"phase": phaseNames, "outcome": {outcomeOK, outcomeError}, "status": statuses, "credential": credentials,
		"system":    {systemKubernetes, systemMySQL, systemRabbitMQ, "mysql", "rabbitmq"},
		"kind":      {kindAccount, kindAdministrator, kindKey, "accounts", "keys"},
		"condition": slices.Concat(conditionTypes, optionalConditionTypes),
	}
	documented, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "contracts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, family := range gather(t) {
		if !strings.HasPrefix(name, "ecommerce_") {
			continue
		}
		names = append(names, name)
		if !strings.Contains(string(documented), "`"+name+"`") {
			t.Errorf("docs/contracts.md does not list %s", name)
		}
		for _, m := range family.GetMetric() {
			for label, value := range labelsOf(m) {
				values, fixed := allowed[label]
				ofObject := slices.Contains([]string{"namespace", "stack", "secret"}, label) && objectName.MatchString(value)
				if fixed && !slices.Contains(values, value) || !fixed && !ofObject {
					t.Errorf("%s: label %s has the value %q", name, label, value)
				}
			}
		}
	}
	problems, err := testutil.GatherAndLint(metrics.Registry, names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(names) < 5 {
		t.Errorf("metrics %v, want those of the operator and of its stacks", names)
	}
}

// unavailableReader is a cache that has not started or was stopped.
type unavailableReader struct{ client.Reader }

func (unavailableReader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return &cache.ErrCacheNotStarted{}
}

func TestScrapeWithoutCacheHasTheOtherMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "other", Help: "A metric of another collector."})
	registry.MustRegister(&stackCollector{reader: unavailableReader{}, certificates: newCertificates()}, other)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "other" {
		t.Errorf("scrape %v, %v, want the other metric", families, err)
	}
}

func TestFirstExpiryIsThatOfTheChain(t *testing.T) {
	t.Parallel()
	if got := firstExpiry([]byte("no certificate")); !got.IsZero() {
		t.Errorf("expiry %v without a certificate", got)
	}
	soon, _ := selfSignedUntil(t, time.Now().Add(time.Hour))
	later, _ := selfSignedUntil(t, time.Now().Add(48*time.Hour))
	if got := firstExpiry(append(slices.Clone(later), soon...)); time.Until(got) > time.Hour {
		t.Errorf("expiry %v, want that of the certificate that expires first", got)
	}
}
