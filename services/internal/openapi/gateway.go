package openapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// introduction is the description of the merged document.
const introduction = `Accounts, catalog, inventory and orders of a store.

- **Errors** are problem details (RFC 9457): decide by their ` + "`code`" + `, and quote the ` + "`traceId`" + ` when asking for
  help. Invalid values are all named in ` + "`errors`" + `. Unknown fields and query parameters are invalid,
  and so is ` + "`null`" + `.
- **Text** is UTF-8, else the status is 400 ` + "`invalid_utf8`" + `, and is stored in NFC. Names are one line without control
  characters, with a visible one.
- **Tokens**: send the ` + "`accessToken`" + ` of ` + "`POST /auth/login`" + ` as ` + "`Authorization: Bearer`" + `.
- **Lists** are read a page at a time: ` + "`limit`" + ` (1 to 200, 50 by default), and ` + "`cursor`" + ` with the ` + "`nextCursor`" + ` of the
  page before, until there is none.
- **Money** is a decimal string with two places, times are RFC 3339 in UTC.
- **Limits**: ` + "`RateLimit-*`" + ` of every response has what is left. Beyond it the status is 429 ` + "`rate_limited`" + `; wait for
  ` + "`Retry-After`" + `.
- **Retries**: 503 and 429 have the time to wait in ` + "`Retry-After`" + `. Orders, new products, movements of stock and
  registrations are safe to repeat with an ` + "`Idempotency-Key`" + `.
- **Encoding**: responses are compressed for clients that send ` + "`Accept-Encoding`" + `. Requests are not: 415.
- **Header**: at most 32 KiB and 100 fields, else the status is 431.`

const headerRefs = "#/components/headers/"

// exampleTrace is the trace of every example.
const exampleTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// gatewayHeaderNames are the names of the header fields of every response.
var gatewayHeaderNames = []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-Id", "Traceparent"}

// gatewayHeaders returns the header fields that the gateway sets.
func gatewayHeaders() object {
	header := func(kind, description string, example any) object {
		return object{"description": description, "schema": object{"type": kind}, "example": example}
	}
	return object{
		gatewayHeaderNames[0]: header("integer", "How many requests the caller may make at once", 200),
		gatewayHeaderNames[1]: header("integer", "How many of these are left", 199),
		gatewayHeaderNames[2]: header("integer", "Seconds until all of these are available again", 1),
		gatewayHeaderNames[3]: header("string", "Id of the request: the X-Request-Id of the client if it is valid, else a new one. Log lines have it, too.", "01JD9Z3T8M5Q2V7KX4N6B0CWER"),
		gatewayHeaderNames[4]: header("string", "The trace, which is that of the client if it sent one, and the span of the gateway in it (W3C Trace Context)", exampleTrace),
		"Retry-After":         header("integer", "Seconds to wait before the next request (RFC 9110, section 10.2.3)", 1),
		"Age":                 header("integer", "Seconds since the service made the response (RFC 9111, section 5.1)", 3),
		"Cache-Status":        header("string", "How the cache of the gateway obtained the response (RFC 9211)", "ecommerce-gateway; hit; ttl=27"),
		"Cache-Control":       header("string", "A stored response has to be validated with its ETag before it is used again", "no-cache"),
	}
}

// addGateway documents what the gateway adds to an operation: limits, a cache, and problems.
func addGateway(op object, path string, r *Forwarded) {
	responses := member(op, "responses")
	path = examplePath(op, path)
	refuse(responses, path, problem.TooMany(time.Second))
	if r.Stream || prefersWait(op) {
		refuse(responses, path, problem.TooManyConcurrent())
	}
	refuse(responses, path, problem.From(failure.Unavailable(time.Second, nil)))
	for status, v := range responses {
		res, _ := v.(object)
		for _, name := range gatewayHeaderNames {
			refer(res, name)
		}
		if r.Cached && (status == "200" || status == "304") {
			refer(res, "Cache-Status")
			refer(res, "Cache-Control")
			refer(res, "Age")
		}
	}
}

// examplePath returns a path with the examples of its parameters.
func examplePath(op object, path string) string {
	parameters, _ := op["parameters"].([]any)
	for _, v := range parameters {
		if p, _ := v.(object); p["in"] == "path" && p["example"] != nil {
			path = strings.ReplaceAll(path, fmt.Sprintf("{%v}", p["name"]), fmt.Sprint(p["example"]))
		}
	}
	return path
}

// prefersWait reports whether an operation has a preference to wait.
func prefersWait(op object) bool {
	parameters, _ := op["parameters"].([]any)
	for _, v := range parameters {
		if p, _ := v.(object); p["name"] == "Prefer" {
			return true
		}
	}
	return false
}

// refuse documents a problem of an operation.
func refuse(responses object, path string, p *problem.Problem) {
	res := member(responses, strconv.Itoa(p.Status))
	media := member(member(res, "content"), problem.ContentType)
	shown := member(media, "examples")
	if shown[p.Code] != nil {
		return
	}
	codes, _ := res["description"].(string)
	if _, codes, _ = strings.Cut(codes, ": "); codes != "" {
		codes += ", "
	}
	res["description"] = http.StatusText(p.Status) + ": " + codes + "`" + p.Code + "`"
	media["schema"] = object{"$ref": schemas + "Problem"}
	shown[p.Code] = object{"summary": p.Detail, "value": jsonValue(p.ForRequest(telemetry.WithTraceParent(context.Background(), exampleTrace), path))}
	refer(res, "Retry-After")
}

func refer(res object, name string) {
	headers := member(res, "headers")
	if headers[name] == nil {
		headers[name] = object{"$ref": headerRefs + name}
	}
}

// member returns a member that is an object, and adds it if it is missing.
func member(o object, name string) object {
	m, ok := o[name].(object)
	if !ok {
		m = object{}
		o[name] = m
	}
	return m
}

// jsonValue returns v as a decoder of its JSON returns it.
func jsonValue(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	_ = json.Unmarshal(raw, &out) // what Marshal wrote
	return out
}
