package local

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ecommerce-stack.dev/hack/internal/gobuild"
)

// combined is the name of the program of all services, and of its package, which exists only in the overlay.
const combined = "combined"

// The parts of the main package of a service that the overlay changes.
var (
	packageClause = regexp.MustCompile(`(?m)^package main$`)
	mainFunction  = regexp.MustCompile(`(?m)^func main\(\)`)
)

// combinedMain is the program, with the imports and cases of the services.
const combinedMain = `package main

import (
	"os"
	"path/filepath"

%s)

func main() {
	switch filepath.Base(os.Args[0]) {
%s	}
}
`

// writeCombined writes a file for the flag -overlay of `go build`, in dir, that makes packages of the main packages of
// the services, and adds a program that imports them and runs the service that it is started as. Most of the
// time of a build is that of the linker, which loads the same dependencies for each service.
func writeCombined(root, dir string) (flag string, err error) {
	contents := map[string]string{}
	var imports, cases strings.Builder
	for _, name := range Services {
		files, err := filepath.Glob(filepath.Join(root, "services", name, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				contents[file] = "" // is removed: it is of another package
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			content = mainFunction.ReplaceAll(packageClause.ReplaceAll(content, []byte("package "+name)), []byte("func Main()"))
			// The directive makes errors of the compiler name the file of the checkout.
			contents[file] = fmt.Sprintf("//line %s:1\n%s", file, content)
		}
		fmt.Fprintf(&imports, "\t\"ecommerce-stack.dev/services/%s\"\n", name)
		fmt.Fprintf(&cases, "\tcase %q:\n\t\t%[1]s.Main()\n", name)
	}
	contents[filepath.Join(root, "services", combined, "main.go")] = fmt.Sprintf(combinedMain, &imports, &cases)
	return gobuild.WriteOverlay(dir, contents)
}
