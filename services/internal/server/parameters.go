package server

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/problem"
)

// checkParameters refuses query parameters that the operation would ignore: unknown ones, those
// without "=", and a second one of a name. A filter that is not applied returns other results than
// the client expects, without an error. It also refuses integers that are not written as in JSON,
// such as +5, and content codings.
func (s *Server) checkParameters(ctx huma.Context, next func(huma.Context)) {
	u, op := ctx.URL(), ctx.Operation()
	errs := invalidParameters(u.RawQuery, op.Parameters)
	for _, p := range op.Parameters {
		if value := integerParameter(ctx, p); len(errs) == 0 && value != "" && !integerForm.MatchString(value) {
			errs = append(errs, &huma.ErrorDetail{Location: p.In + "." + p.Name, Message: "expected an integer such as 5"})
		}
	}
	switch {
	case len(errs) > 0:
		s.refuseOperation(ctx, problem.From(huma.NewError(http.StatusUnprocessableEntity, "", errs...)))
	case op.RequestBody != nil && !isIdentity(ctx.Header("Content-Encoding")):
		s.refuseOperation(ctx, problem.UnsupportedCoding())
	default:
		next(ctx)
	}
}

// integerForm matches the integers that JSON and the ids in events have.
var integerForm = regexp.MustCompile(`^(?:0|-?[1-9][0-9]*)$`)

// integerParameter returns the value of a parameter of the path or the query whose type is integer,
// or "".
func integerParameter(ctx huma.Context, p *huma.Param) string {
	switch {
	case p.Schema == nil || p.Schema.Type != huma.TypeInteger:
	case p.In == "path":
		return ctx.Param(p.Name)
	case p.In == "query":
		return ctx.Query(p.Name)
	}
	return ""
}

// isIdentity reports whether a Content-Encoding field, of which lines are joined, has no coding
// (RFC 9110, section 8.4).
func isIdentity(field string) bool {
	for coding := range strings.SplitSeq(field, ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

// invalidParameters returns the errors of a query that CheckURL accepts.
func invalidParameters(rawQuery string, parameters []*huma.Param) (errs []error) {
	var seen map[string]bool
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair == "" {
			continue
		}
		encoded, _, hasValue := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(encoded)
		violation := ""
		switch {
		case err != nil || !isParameter(name, parameters):
			violation = unknownParameter(name, parameters)
		case !hasValue:
			violation = "has no value"
		case seen[name]:
			violation = "occurs more than once"
		}
		if violation != "" {
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: violation})
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[name] = true
	}
	return errs
}

func isParameter(name string, parameters []*huma.Param) bool {
	for _, p := range parameters {
		if p.In == "query" && p.Name == name {
			return true
		}
	}
	return false
}

// unknownParameter returns the message for a parameter that no operation has, with the name that
// takes the fewest edits.
func unknownParameter(name string, parameters []*huma.Param) string {
	nearest, fewest := "", -1
	for _, p := range parameters {
		if p.In != "query" {
			continue
		}
		edits := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(p.Name))
		if fewest < 0 || edits < fewest {
			nearest, fewest = p.Name, edits
		}
	}
	if nearest == "" {
		return "is not a parameter: this operation has none in the query"
	}
	return fmt.Sprintf("is not a parameter of this operation; the nearest one is %s", nearest)
}
