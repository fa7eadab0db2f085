package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
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

// versions returns the versions that an If-Match header accepts; nil accepts any (RFC 9110,
// section 13.1.1: strong comparison, so that a weak tag matches nothing).
func (c ConditionalWrite) versions() []int64 {
	header := strings.TrimSpace(c.IfMatch)
	if header == "" || header == "*" {
		return nil
	}
	accepted := []int64{}
	for tag := range strings.SplitSeq(header, ",") {
		inner, ok := strings.CutPrefix(strings.TrimSpace(tag), `"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		if version, err := strconv.ParseInt(inner, 10, 64); ok && closed && err == nil {
			accepted = append(accepted, version)
		}
	}
	return accepted
}
