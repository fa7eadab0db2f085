package openapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// refusals documents each error status of op with its problems, each an example by its
// code, made by the code that makes the real ones.
func (e examples) refusals(op *huma.Operation) {
	declared, _ := op.Metadata[refusalsMetadata].([]*problem.Problem)
	byStatus := map[int][]*problem.Problem{}
	for _, p := range append(slices.Clone(declared), e.general(op)...) {
		byStatus[p.Status] = append(byStatus[p.Status], p)
	}
	for _, status := range statuses(op, func(s int) bool { return s >= http.StatusBadRequest }) {
		if byStatus[status] == nil {
			byStatus[status] = []*problem.Problem{problem.From(huma.NewError(status, ""))}
		}
	}
	for status, problems := range byStatus {
		op.Responses[strconv.Itoa(status)] = e.refusal(op, status, problems)
	}
	if text := strconv.Itoa(http.StatusNotModified); op.Responses[text] != nil {
		op.Responses[text] = &huma.Response{Description: "Not Modified: the representation of the client is current"}
	}
}

// general returns the problems of the server and of authentication, which no service has to
// declare.
func (e examples) general(op *huma.Operation) []*problem.Problem {
	all := []*problem.Problem{
		problem.MalformedURL(), problem.InvalidUTF8(), problem.From(errors.New("internal")), problem.From(failure.Unavailable(time.Second, nil)),
		problem.From(context.DeadlineExceeded), problem.From(huma.NewError(http.StatusUnprocessableEntity, "", e.validationErrors(op)...)),
	}
	if jsonBody(op) != nil {
		all = append(all,
			problem.From(huma.NewError(http.StatusBadRequest, "", &huma.ErrorDetail{Location: "body", Message: "syntax error after byte 12"})),
			problem.From(huma.NewError(http.StatusRequestTimeout, "")),
			problem.From(huma.NewError(http.StatusRequestEntityTooLarge, "")),
			problem.From(huma.NewError(http.StatusUnsupportedMediaType, "")), problem.UnsupportedCoding())
	}
	if len(op.Security) > 0 {
		all = append(all, problem.From(authn.ErrNoToken), problem.From(authn.ErrTokenExpired))
	}
	if authn.RefusesRevoked(op) {
		all = append(all, problem.From(authn.ErrAccountDisabled))
	}
	if roles := authn.RolesOf(op); len(roles) > 0 {
		all = append(all, problem.From(authn.Forbidden(roles)))
	}
	return all
}

func (e examples) refusal(op *huma.Operation, status int, problems []*problem.Problem) *huma.Response {
	ctx := telemetry.WithTraceParent(context.Background(), exampleTrace)
	shown, codes, headers := map[string]*huma.Example{}, make([]string, 0, len(problems)), map[string]*huma.Header{}
	for _, p := range problems {
		if shown[p.Code] != nil {
			continue
		}
		codes = append(codes, "`"+p.Code+"`")
		for name := range commonHeaders() {
			if p.GetHeaders().Get(name) != "" {
				headers[name] = &huma.Header{Ref: headerRefs + name}
			}
		}
		shown[p.Code] = &huma.Example{Summary: p.Detail, Value: jsonValue(p.ForRequest(ctx, e.path(op)))}
	}
	return &huma.Response{
		Description: http.StatusText(status) + ": " + strings.Join(codes, ", "), Headers: headers,
		Content: map[string]*huma.MediaType{problem.ContentType: {
			Schema: problem.Schema(e.registry), Examples: shown,
		}},
	}
}
