package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"ecommerce-stack.dev/hack/internal/images"
)

// withStack returns an installer for a stack with a spec, or for none.
func withStack(spec map[string]any, only ...string) *installer {
	scheme := runtime.NewScheme()
	var objects []runtime.Object
	if spec != nil {
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "ecommerce-stack.dev/v1alpha1", "kind": "ECommerceStack", "metadata": map[string]any{"namespace": "shop", "name": "demo"}, "spec": spec,
		}})
	}
	return &installer{
		options: options{Namespace: "shop", Stack: "demo", Only: only},
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(scheme, map[schema.GroupVersionResource]string{stackResource: "ECommerceStackList"}, objects...),
		images:  images.List{Images: map[string]string{"stock": stockImage, "sales": "localhost/ecommerce-stack/sales:2"}},
	}
}

func TestOnlyTheImagesOfTheSelectedServicesAreSet(t *testing.T) {
	t.Parallel()
	i := withStack(map[string]any{"currency": "EUR", "sales": map[string]any{"image": "localhost/ecommerce-stack/sales:1"}}, "stock")
	if err := i.setImages(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	live, err := i.stacks().Get(t.Context(), "demo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"stock.image": stockImage, "sales.image": "localhost/ecommerce-stack/sales:1", "currency": "EUR"} {
		if got, _, err := unstructured.NestedString(live.Object, append([]string{"spec"}, strings.Split(path, ".")...)...); err != nil || got != want {
			t.Errorf("spec.%s is %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestStackThatCannotRollOutIsReported(t *testing.T) {
	t.Parallel()
	if err := withStack(nil, "stock").setImages(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "without ONLY") {
		t.Errorf("no stack: %v, want the fix", err)
	}
	if err := withStack(map[string]any{}, "auth").setImages(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "make images") {
		t.Errorf("no image: %v, want the fix", err)
	}
	i := withStack(map[string]any{"paused": true}, "stock")
	i.core = fake.NewClientset()
	if err := i.ready(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), "spec.paused") {
		t.Errorf("a paused stack: %v, want the fix", err)
	}
	i = withStack(map[string]any{"stock": map[string]any{"image": "localhost/ecommerce-stack/stock:3"}}, "stock")
	i.core = fake.NewClientset()
	if err := i.ready(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), "another reload") {
		t.Errorf("another image: %v, want an error", err)
	}
	i = withStack(nil, "stock")
	i.core = fake.NewClientset()
	if err := i.ready(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), "deleted meanwhile") {
		t.Errorf("a deleted stack: %v, want the fix", err)
	}
}

func TestRolloutIsOverWhenOnlyNewPodsRun(t *testing.T) {
	t.Parallel()
	one := int32(1)
	deployment := func(image string, updated, all int32) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-stock", Generation: 2},
			Spec:       appsv1.DeploymentSpec{Replicas: &one, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}},
			Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: all, UpdatedReplicas: updated, AvailableReplicas: all},
		}
	}
	former := *pod("stock", "localhost/ecommerce-stack/stock:1", "", "")
	ended := former
	ended.Status.Phase = corev1.PodSucceeded
	for _, c := range []struct {
		deployment *appsv1.Deployment
		pods       []corev1.Pod
		want       string
	}{
		{deployment("localhost/ecommerce-stack/stock:1", 1, 1), nil, "has not set the image"},
		{deployment(stockImage, 1, 2), nil, "are replaced"},
		{deployment(stockImage, 0, 1), nil, "are replaced"},
		{deployment(stockImage, 1, 1), []corev1.Pod{former}, "the former pod demo-stock ends"},
		{deployment(stockImage, 1, 1), []corev1.Pod{ended, *pod("stock", stockImage, "", "")}, ""},
	} {
		i := withStack(map[string]any{}, "stock")
		i.core = fake.NewClientset(c.deployment)
		got, err := i.missing(t.Context(), c.pods, map[string]string{"stock": stockImage})
		if err != nil || c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("missing %q, %v; want %q", got, err, c.want)
		}
	}
}

// record returns the record of Helm of a revision.
func record(revision, status, digest string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "sh.helm.release.v1.ecommerce.v" + revision, Labels: map[string]string{
		"owner": "helm", "name": release, "version": revision, "status": status, digestLabel: digest,
	}}}
}

func TestUnchangedOperatorIsNotInstalledAgain(t *testing.T) {
	t.Parallel()
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "ecommerce-operator", Labels: map[string]string{"app.kubernetes.io/instance": release, "app.kubernetes.io/name": "operator"}},
		Spec:       appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "operator:2"}}}}},
	}
	old, latest := record("9", "superseded", "a"), record("10", "deployed", "b")
	for name, c := range map[string]struct {
		objects []runtime.Object
		digest  string
		want    bool
	}{
		"equal":                  {[]runtime.Object{deployment, old, latest}, "b", true},
		"another digest":         {[]runtime.Object{deployment, old, latest}, "a", false},
		"no Deployment":          {[]runtime.Object{old, latest}, "b", false},
		"no release":             {[]runtime.Object{deployment}, "b", false},
		"a failed release":       {[]runtime.Object{deployment, latest, record("11", "failed", "b")}, "b", false},
		"an interrupted upgrade": {[]runtime.Object{deployment, latest, record("11", "pending-upgrade", "b")}, "b", false},
	} {
		i := &installer{core: fake.NewClientset(c.objects...)}
		got, err := i.installed(t.Context(), c.digest, "operator:2")
		if err != nil || got != c.want {
			t.Errorf("%s: installed %v, %v; want %v", name, got, err, c.want)
		}
		_, err = i.core.CoreV1().Secrets(operatorNamespace).Get(t.Context(), "sh.helm.release.v1.ecommerce.v11", metav1.GetOptions{})
		if name == "an interrupted upgrade" && !apierrors.IsNotFound(err) {
			t.Errorf("the record of an interrupted upgrade remains: %v", err)
		}
	}
	i := &installer{core: fake.NewClientset(deployment, latest)}
	if got, err := i.installed(t.Context(), "b", "operator:3"); err != nil || got {
		t.Errorf("another image: installed %v, %v", got, err)
	}
}

func TestDigestFollowsChartLibraryAndValues(t *testing.T) {
	t.Parallel()
	charts := t.TempDir()
	put := func(path, content string) {
		t.Helper()
		path = filepath.Join(charts, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(values ...string) string {
		t.Helper()
		d, err := chartDigest(charts, values)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	put("operator/Chart.yaml", "a")
	put("library/Chart.yaml", "a")
	first := digest("v")
	put("operator/charts/library.tgz", "b")
	put("operator/Chart.lock", "b")
	put("stock/values.yaml", "b")
	if digest("v") != first || len(first) > 63 {
		t.Errorf("the digest follows what Helm writes or other charts, or is no label: %s", first)
	}
	for what, change := range map[string]func(){"the chart": func() { put("operator/Chart.yaml", "b") }, "the library": func() { put("library/templates/a", "b") }} {
		before := digest("v")
		change()
		if digest("v") == before {
			t.Errorf("the digest does not follow %s", what)
		}
	}
	if digest("v") == digest("w") {
		t.Error("the digest does not follow the values")
	}
}

func TestOnlyNamesServicesAndOperator(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{"stock": true, "operator": true, "mysqld-exporter": true, "mysql": false, "": false} {
		if err := (options{Only: []string{name}}).Validate(); (err == nil) != valid {
			t.Errorf("%q: %v, want valid %v", name, err, valid)
		}
	}
	if got := (options{Only: []string{"operator"}}).services(); len(got) != 0 {
		t.Errorf("with the operator only, %q are rolled out", got)
	}
	if got := (options{}).services(); len(got) != 4 {
		t.Errorf("by default, %q are rolled out", got)
	}
}
