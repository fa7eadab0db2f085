// Package chart implements the rendering of the embedded charts with Helm's engine. It
// stores no release and reads nothing from the cluster; the result equals the output of
// `helm template` for the same values.
package chart

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/charts"
)

// Charts holds loaded charts by name. It is safe for concurrent use.
type Charts map[string]*chartv2.Chart

// Load reads the named charts and their dependencies out of the program.
func Load(names ...string) (Charts, error) {
	loaded := Charts{}
	for _, name := range names {
		var err error
		if loaded[name], err = load(name); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

// load adds each dependency as `helm dependency build` does. A chart refers to its parent,
// so the parents do not share one.
func load(name string) (*chartv2.Chart, error) {
	files, err := files(charts.FS, name)
	if err != nil {
		return nil, fmt.Errorf("read chart %s: %w", name, err)
	}
	chart, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("load chart %s: %w", name, err)
	}
	for _, declared := range chart.Metadata.Dependencies {
		folder, local := strings.CutPrefix(declared.Repository, "file://")
		if !local {
			return nil, fmt.Errorf("load chart %s: dependency %s is not in the program, but at %q", name, declared.Name, declared.Repository)
		}
		dependency, err := load(path.Join(name, folder))
		if err != nil {
			return nil, err
		}
		chart.AddDependency(dependency)
	}
	return chart, nil
}

func files(fsys fs.FS, root string) ([]*archive.BufferedFile, error) {
	var files []*archive.BufferedFile
	err := fs.WalkDir(fsys, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		files = append(files, &archive.BufferedFile{Name: strings.TrimPrefix(name, root+"/"), Data: data})
		return nil
	})
	return files, err
}

// Render returns the objects of a chart for a release of the given name and
// namespace, in the order in which Helm installs kinds: a NetworkPolicy and a
// ServiceAccount precede the Deployment whose pods they are for. Values that the chart's
// schema does not know are an error.
func (c Charts) Render(name, release, namespace string, values map[string]any) ([]*unstructured.Unstructured, error) {
	chart, found := c[name]
	if !found {
		return nil, fmt.Errorf("render chart %s: it was not loaded", name)
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	complete, err := util.ToRenderValues(chart, values, options, nil)
	if err != nil {
		return nil, fmt.Errorf("values of chart %s: %w", name, err)
	}
	rendered, err := engine.Render(chart, complete)
	if err != nil {
		return nil, fmt.Errorf("render chart %s: %w", name, err)
	}
	return objects(rendered)
}

// objects parses rendered templates, and sorts objects of one kind by the names of their
// files. It leaves out the notes, which are for people.
func objects(rendered map[string]string) ([]*unstructured.Unstructured, error) {
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		if path.Base(name) != "NOTES.txt" && !strings.HasSuffix(name, ".tpl") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []*unstructured.Unstructured
	for _, name := range names {
		found, err := parse(rendered[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return cmp.Compare(installOrder(a), installOrder(b)) })
	return all, nil
}

// installOrder returns the position of an object's kind in Helm's order of installation,
// in which kinds that Helm does not know are last.
func installOrder(object *unstructured.Unstructured) int {
	if index := slices.Index(releaseutil.InstallOrder, object.GetKind()); index >= 0 {
		return index
	}
	return len(releaseutil.InstallOrder)
}

func parse(text string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		encoded, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, err
		}
		if string(encoded) == "null" {
			continue
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(encoded); err != nil {
			return nil, err
		}
		all = append(all, object)
	}
}
