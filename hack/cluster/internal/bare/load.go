package bare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/internal/archive"
)

// Load imports the docker-archives whose images the node does not have: their
// tags are derived from their content. It then removes older images of the same
// repositories that no pod uses, because the kubelet collects none (see
// kubelet.yaml). It returns ErrDown if no cluster runs.
func (c *Cluster) Load(archives []string) error {
	if _, running := node.Running(c.Dir); !running {
		return ErrDown
	}
	present, err := c.ctr("images", "list", "--quiet")
	if err != nil {
		return err
	}
	var loaded []string
	for _, path := range archives {
		references, err := archive.References(path)
		if err != nil {
			return err
		}
		if missing(references, strings.Fields(present)) == "" {
			continue
		}
		if err := c.Progress.Run("Load "+strings.Join(references, ", "), func(func(string)) error { return c.load(path) }); err != nil {
			return err
		}
		loaded = append(loaded, references...)
	}
	if len(loaded) == 0 {
		return nil
	}
	return c.prune(loaded)
}

// missing returns the first of the references that is not present, or "".
func missing(references, present []string) string {
	for _, reference := range references {
		if !slices.Contains(present, reference) {
			return reference
		}
	}
	return ""
}

func (c *Cluster) prune(loaded []string) error {
	out, err := c.ctr("images", "list")
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the pods to find images in use: %w", err)
	}
	stale := superseded(parseImages(out), loaded, pods.Items)
	if len(stale) == 0 {
		return nil
	}
	_, err = c.ctr(append([]string{"images", "remove"}, stale...)...)
	return err
}

// image is an entry of containerd's image store. Every content has a second
// entry, named by its ID, which must be removed too.
type image struct{ reference, digest string }

// parseImages reads the table that `ctr images list` prints: its first column
// is the reference and its third the digest.
func parseImages(table string) []image {
	var images []image
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.HasPrefix(fields[2], "sha256:") {
			images = append(images, image{fields[0], fields[2]})
		}
	}
	return images
}

// superseded returns the references of images that have the repository of a
// loaded image, another tag, and no pod that uses them.
func superseded(images []image, loaded []string, pods []corev1.Pod) []string {
	names, keep := map[string]bool{}, map[string]bool{}
	for _, reference := range loaded {
		names[repository(reference)], keep[reference] = true, true
	}
	for _, pod := range pods {
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			keep[container.Image] = true
		}
	}
	var stale []string
	contents := map[string]bool{} // by digest: whether all its references are removed
	for _, i := range images {
		switch {
		case strings.HasPrefix(i.reference, "sha256:"):
		case names[repository(i.reference)] && !keep[i.reference]:
			stale = append(stale, i.reference)
			if _, known := contents[i.digest]; !known {
				contents[i.digest] = true
			}
		default:
			contents[i.digest] = false
		}
	}
	for _, i := range images {
		if strings.HasPrefix(i.reference, "sha256:") && contents[i.digest] {
			stale = append(stale, i.reference)
		}
	}
	return stale
}

// repository returns the reference without its tag.
func repository(reference string) string {
	if at := strings.LastIndexByte(reference, ':'); at > strings.LastIndexByte(reference, '/') {
		return reference[:at]
	}
	return reference
}
