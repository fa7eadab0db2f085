package kind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

func TestUpCreatesMissingCluster(t *testing.T) {
	for clusters, want := range map[string]string{
		"":                         "kind create cluster --config /src/kind.yaml",
		"other\n":                  "kind create cluster --config /src/kind.yaml",
		"other\necommerce-stack\n": "kind export kubeconfig --name ecommerce-stack",
	} {
		c, ran := fake(t, clusters)
		if err := c.Up(); err != nil {
			t.Fatal(err)
		}
		if last := (*ran)[len(*ran)-1]; !strings.HasPrefix(last, want) {
			t.Errorf("with clusters %q it ran %q, want %q", clusters, last, want)
		}
	}
}

func TestLoadPassesArchives(t *testing.T) {
	c, ran := fake(t, "")
	if err := c.Load([]string{"a.tar", "b.tar"}); err != nil {
		t.Fatal(err)
	}
	want := "kind load image-archive a.tar --name ecommerce-stack; kind load image-archive b.tar --name ecommerce-stack"
	if got := strings.Join(*ran, "; "); got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestStatusWithoutClusterNamesTheFix(t *testing.T) {
	c, _ := fake(t, "")
	if err := c.Status(os.Stderr); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("error %v", err)
	}
}

// TestConfigurationMatchesConstants compares kind.yaml with the constants.
func TestConfigurationMatchesConstants(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "kind.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name: " + Name, "containerPort: 30501, hostPort: 5001"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("kind.yaml lacks %q", want)
		}
	}
}

func fake(t *testing.T, clusters string) (*Cluster, *[]string) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	var ran []string
	return &Cluster{
		Root: "/src", Kubeconfig: filepath.Join(t.TempDir(), "cluster", "kubeconfig"), Progress: progress.New(null),
		Run: func(name string, args ...string) (string, error) {
			ran = append(ran, strings.Join(append([]string{name}, args...), " "))
			return clusters, nil
		},
	}, &ran
}
