package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"ecommerce-stack.dev/services/stock/internal/catalog"
)

// versionTag returns the ETag of a product, which is its version.
func versionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// contentTag returns the ETag of a list, which is a hash of its items.
func contentTag(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("hash a list: %w", err)
	}
	sum := sha256.Sum256(raw)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, nil
}

// matchesTag reports whether an If-None-Match header matches tag (RFC 9110, section 13.1.2:
// weak comparison).
func matchesTag(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}

// versions returns the versions that the preconditions accept (RFC 9110, section 13). If-Match uses
// strong comparison, so that a weak tag matches nothing, and If-None-Match weak comparison.
func (c ConditionalWrite) versions() (v catalog.Versions) {
	if ifMatch := strings.TrimSpace(c.IfMatch); ifMatch != "" && ifMatch != "*" {
		v.Accepted = taggedVersions(ifMatch)
	}
	for tag := range strings.SplitSeq(c.IfNoneMatch, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" {
			v.Accepted = []int64{} // The product exists, or is not found.
		}
		v.Refused = append(v.Refused, taggedVersions(tag)...)
	}
	return v
}

// taggedVersions returns the versions whose tags of versionTag are in a list.
func taggedVersions(list string) []int64 {
	versions := []int64{}
	for tag := range strings.SplitSeq(list, ",") {
		inner, ok := strings.CutPrefix(strings.TrimSpace(tag), `"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		if version, err := strconv.ParseInt(inner, 10, 64); ok && closed && err == nil {
			versions = append(versions, version)
		}
	}
	return versions
}
