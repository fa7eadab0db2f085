package bare

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/cluster/internal/rootfs"
	"ecommerce-stack.dev/hack/internal/archive"
)

// pauseImage builds the archive of the pause image, which holds the namespaces
// of a pod, from the program in bin. It returns the image's reference and the
// path of the archive.
func (c *Cluster) pauseImage(bin string) (reference, path string, err error) {
	program, err := os.ReadFile(filepath.Join(bin, "pause"))
	if err != nil {
		return "", "", err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(program))[:12]
	reference = "localhost/ecommerce-stack/pause:" + digest
	path = filepath.Join(c.Cache, "images", "pause-"+digest+".tar")
	if _, err := os.Stat(path); err == nil {
		return reference, path, nil
	}
	layer, err := archive.NewLayer([]archive.Entry{{Name: "pause", Mode: 0o755, Data: program}})
	if err != nil {
		return "", "", err
	}
	return reference, path, archive.Write(path, archive.Image{
		References: []string{reference},
		Config:     v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
		Layer:      layer,
	})
}

// importMissing imports the archives whose reference containerd does not have.
// The tags of the references must be derived from the content.
func (c *Cluster) importMissing(archives map[string]string, detail func(string)) (failed error) {
	out, err := c.ctr("images", "list", "--quiet")
	if err != nil {
		return err
	}
	present := strings.Fields(out)
	var imports sync.WaitGroup
	errs := make(chan error, len(archives))
	for reference, path := range archives {
		if slices.Contains(present, reference) {
			continue
		}
		detail(reference)
		imports.Go(func() { errs <- c.load(path) })
	}
	imports.Wait()
	close(errs)
	for err := range errs {
		failed = errors.Join(failed, err)
	}
	return failed
}

func (c *Cluster) load(path string) error {
	_, err := c.ctr("images", "import", path)
	return err
}

func (c *Cluster) ctr(args ...string) (string, error) {
	cmd := exec.Command("ctr", append([]string{"--address", c.Dir.Containerd(), "--namespace", "k8s.io"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// ServerImages returns the images that a stack must use in
// mysql.embedded.image and rabbitmq.embedded.image, by name of the server, in a
// cluster without access to a registry.
func ServerImages() map[string]string {
	return map[string]string{"mysql": rootfs.MySQL[0].Reference(), "rabbitmq": rootfs.RabbitMQ[0].Reference()}
}
