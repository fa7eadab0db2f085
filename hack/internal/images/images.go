// Package images reads and writes the list of the images that hack/image builds.
package images

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ecommerce-stack.dev/hack/internal/state"
)

// LastBuilt is a second tag of each image, that of its last build. Stacks without images use it,
// because the images of the services have different tags.
const LastBuilt = "dev"

// List has the images of a checkout by name, such as stock.
type List struct {
	Images map[string]string `json:"images"` // references
	Sizes  map[string]int64  `json:"sizes"`  // bytes of the archives
}

// Dir returns the folder of a checkout with the archives <name>.tar and the list.
func Dir(root string) string { return filepath.Join(root, "_out", "images") }

// Read returns the list in a folder. It is empty if no image was built.
func Read(dir string) (List, error) {
	var list List
	err := state.ReadJSON(file(dir), &list)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if list.Images == nil {
		list.Images = map[string]string{}
	}
	if list.Sizes == nil {
		list.Sizes = map[string]int64{}
	}
	return list, err
}

// Write replaces the list in a folder.
func (l List) Write(dir string) error { return state.WriteJSON(file(dir), l) }

// Reference returns the reference of an image. The error contains the fix if it was not built.
func (l List) Reference(name string) (string, error) {
	reference, ok := l.Images[name]
	if !ok {
		return "", fmt.Errorf("the image %s is not built: run `make images`", name)
	}
	return reference, nil
}

func file(dir string) string { return filepath.Join(dir, "images.json") }
