package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/problem"
)

// checkQuery refuses query parameters that the operation would ignore: unknown ones, those without
// "=", and a second one of a name. A filter that is not applied returns other results than the client
// expects, without an error.
func (s *Server) checkQuery(ctx huma.Context, next func(huma.Context)) {
	u := ctx.URL()
	if errs := invalidParameters(u.RawQuery, ctx.Operation().Parameters); len(errs) > 0 {
		s.refuseOperation(ctx, problem.From(huma.NewError(http.StatusUnprocessableEntity, "", errs...)))
		return
	}
	next(ctx)
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
