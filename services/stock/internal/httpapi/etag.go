package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"ecommerce-stack.dev/services/stock/internal/catalogue"
)

// versionTag is the ETag of a product: its version.
func versionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// contentTag is the ETag of a list: a hash of its items.
func contentTag(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("hash a list: %w", err)
	}
	sum := sha256.Sum256(raw)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, nil
}

// known says whether an If-None-Match header names tag (RFC 9110, section 13.1.2:
// weak comparison).
func known(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}

// version is what an If-Match header asks for; nil accepts any. A header with
// several tags or one that is not ours can only be stale: a product has one ETag.
func (c ConditionalWrite) version() (*int64, error) {
	header := strings.TrimSpace(c.IfMatch)
	if header == "" || header == "*" {
		return nil, nil
	}
	inner, ok := strings.CutPrefix(header, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	version, err := strconv.ParseInt(inner, 10, 64)
	if !ok || !closed || err != nil {
		return nil, catalogue.ErrStale
	}
	return &version, nil
}
