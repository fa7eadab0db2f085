package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/progress"
)

func TestDigestChangesWithRecipe(t *testing.T) {
	first := MySQL[0]
	second := first
	second.Finish += "true\n"
	if first.Digest() == second.Digest() {
		t.Error("two recipes have the same digest")
	}
	if first.Reference() != second.Reference() {
		t.Errorf("references %s and %s depend on the recipe", first.Reference(), second.Reference())
	}
}

func TestServersRunAsUserOfOfficialImages(t *testing.T) {
	for _, recipe := range append(append([]Recipe{}, MySQL...), RabbitMQ...) {
		if recipe.Config.User != "999:999" {
			t.Errorf("%s runs as %q, want 999:999", recipe.Title, recipe.Config.User)
		}
	}
}

func TestPathContainsRabbitMQProgramsFirst(t *testing.T) {
	for _, variable := range RabbitMQ[0].Config.Env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			if !strings.HasPrefix(path, "/usr/lib/rabbitmq/bin:") {
				t.Errorf("PATH is %q", path)
			}
			return
		}
	}
	t.Error("the image sets no PATH")
}

func TestEnsureUsesCachedFallback(t *testing.T) {
	cache := t.TempDir()
	fallback := MySQL[1].Archive(cache)
	if err := os.MkdirAll(filepath.Dir(fallback), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fallback, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	got, err := Ensure(progress.New(null), cache, MySQL)
	if err != nil || got.Title != "MariaDB" {
		t.Errorf("got %s, %v; want MariaDB", got.Title, err)
	}
}
