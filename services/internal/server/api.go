package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/problem"
)

// maxDepth of a request's JSON. Ours are three deep.
const maxDepth = 32

func newAPI(s *Server) huma.API {
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	config := huma.Config{
		OpenAPI:       openapi.New(s.opts.Title, checkOperation),
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{s.completeProblem},
	}
	api := huma.NewAPI(config, headAdapter{humachi.NewAdapter(s.router), s})
	api.UseMiddleware(s.limitTime, authn.Middleware(api, s.opts.Verifier), s.checkParameters)
	return api
}

// headAdapter routes HEAD to the operations with GET (RFC 9110, section 9.3.2).
type headAdapter struct {
	huma.Adapter
	s *Server
}

func (a headAdapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.Adapter.Handle(op, handler)
	if op.Method == http.MethodGet {
		a.s.router.Method(http.MethodHead, op.Path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler(humachi.NewContext(op, r, w))
		}))
	}
}

// checkOperation panics for an operation that does not declare its access, and leaves the
// limit of bodies to the router.
func checkOperation(_ *huma.OpenAPI, op *huma.Operation) {
	if !authn.Declared(op) {
		panic(fmt.Sprintf("%s %s has neither authn.Require nor authn.Public", op.Method, op.Path))
	}
	if op.MaxBodyBytes == defaultMaxBody {
		op.MaxBodyBytes = -1
	}
}

// completeProblem adds the trace id and the instance to a problem, and logs the cause of a
// 5xx.
func (s *Server) completeProblem(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*problem.Problem)
	if !ok {
		return v, nil
	}
	p.Log(ctx.Context(), s.opts.Log)
	u := ctx.URL()
	return p.ForRequest(ctx.Context(), u.Path), nil
}

// marshal writes v, or nothing if it cannot be encoded.
func marshal(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// unmarshal decodes exactly one JSON value. huma calls it twice for a body: once for any, to
// validate against the schema, and once for the Go type. Numbers are decoded as json.Number,
// so that a number of any size can be validated.
func unmarshal(body []byte, v any) error {
	if _, ok := v.(*any); ok {
		switch {
		case !isJSONText(body):
			return errors.New(problem.NotUTF8)
		case tooDeep(body):
			return fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(plainIntegers(body)))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return clientError(err)
	}
	if tree, ok := v.(*any); ok {
		markNulls(*tree)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the JSON value")
	}
	return nil
}

// clientError returns an error for clients, without Go names.
func clientError(err error) error {
	var typeErr *json.UnmarshalTypeError
	var syntaxErr *json.SyntaxError
	switch {
	case errors.As(err, &typeErr):
		kind, _, _ := strings.Cut(typeErr.Value, " ") // "number 1e400" can have any length
		return fmt.Errorf("%s: unexpected %s", typeErr.Field, kind)
	case errors.As(err, &syntaxErr):
		return fmt.Errorf("syntax error after byte %d", syntaxErr.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON value is incomplete")
	}
	return errors.New("a value has the wrong type")
}

func tooDeep(body []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
