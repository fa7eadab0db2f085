package bare

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSupersededKeepsImagesInUse(t *testing.T) {
	pod := corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Image: "localhost/shop/sales:2"}},
		Containers:     []corev1.Container{{Image: "localhost/shop/sales:3"}},
	}}
	table := `REF                     TYPE DIGEST    SIZE PLATFORMS LABELS
localhost/shop/sales:1  v1   sha256:a1 1MiB linux/amd64 -
localhost/shop/sales:2  v1   sha256:a2 1MiB linux/amd64 -
localhost/shop/sales:3  v1   sha256:a3 1MiB linux/amd64 -
localhost/shop/sales:3b v1   sha256:a3 1MiB linux/amd64 -
localhost/shop/sales:4  v1   sha256:a4 1MiB linux/amd64 -
localhost/shop/stock:1  v1   sha256:b1 1MiB linux/amd64 -
sha256:c1               v1   sha256:a1 1MiB linux/amd64 -
sha256:c3               v1   sha256:a3 1MiB linux/amd64 -
`
	got := superseded(parseImages(table), []string{"localhost/shop/sales:4"}, []corev1.Pod{pod})
	if want := []string{"localhost/shop/sales:1", "localhost/shop/sales:3b", "sha256:c1"}; !slices.Equal(got, want) {
		t.Errorf("removed %q, want %q", got, want)
	}
}

func TestRepositoryKeepsRegistryPort(t *testing.T) {
	for reference, want := range map[string]string{"localhost:5000/shop": "localhost:5000/shop", "localhost:5000/shop:1": "localhost:5000/shop", "shop": "shop"} {
		if got := repository(reference); got != want {
			t.Errorf("repository(%q) = %q, want %q", reference, got, want)
		}
	}
}
