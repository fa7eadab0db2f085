package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/progress"
)

func TestAnotherRecipeIsAnotherImage(t *testing.T) {
	first := MySQL[0]
	second := first
	second.Finish += "true\n"
	if first.Digest() == second.Digest() {
		t.Error("two recipes have one digest")
	}
	if first.Reference() != second.Reference() {
		t.Errorf("stacks would have to know the recipe: %s, %s", first.Reference(), second.Reference())
	}
}

func TestTheServersRunAsTheOfficialImagesUser(t *testing.T) {
	for _, recipe := range append(append([]Recipe{}, MySQL...), RabbitMQ...) {
		if recipe.Config.User != "999:999" {
			t.Errorf("%s runs as %q, want 999:999", recipe.Title, recipe.Config.User)
		}
	}
}

func TestRabbitMQsPlainProgramsAreFoundBeforeTheWrappers(t *testing.T) {
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

func TestACachedStandInIsUsed(t *testing.T) {
	cache := t.TempDir()
	standIn := MySQL[1].Archive(cache)
	if err := os.MkdirAll(filepath.Dir(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(standIn, nil, 0o600); err != nil {
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
