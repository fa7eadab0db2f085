// Package buildinfo says which build is running. The linker stamps the two
// variables:
//
//	-ldflags "-X ecommerce-stack.dev/services/internal/buildinfo.Version=1.2.3"
//
// A build that was not stamped calls itself "dev".
package buildinfo

// Version is the release, Commit the revision it was built from.
var (
	Version = "dev"
	Commit  = "unknown"
)
