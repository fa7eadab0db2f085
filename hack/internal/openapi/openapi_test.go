package openapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// validDocument is a document without findings.
const validDocument = `{"openapi":"3.1.0","info":{"title":"Boxes","version":"1"},"tags":[{"name":"boxes","description":"Boxes."}],
"paths":{"/boxes/{id}":{"put":{"operationId":"put-box","summary":"Put a box","description":"Puts a box.","tags":["boxes"],"security":[{"bearer":[]}],
"parameters":[{"name":"id","in":"path","required":true,"description":"Id","schema":{"type":"integer","minimum":1}},
	{"name":"dryRun","in":"query","description":"Whether to do nothing","schema":{"type":"string","enum":["true"]}}],
"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Box"},"example":{"label":"a"}}}},
"responses":{"200":{"description":"OK","headers":{"ETag":{"$ref":"#/components/headers/ETag"}}},
	"401":{"description":"No","content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"},"example":{}}}},
	"429":{"description":"No","content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"},"example":{}}}},
	"503":{"description":"No","content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"},"example":{}}}}}}}},
"components":{"schemas":{"Problem":{"type":"object"},
	"Box":{"type":"object","additionalProperties":false,"properties":{"label":{"type":"string","maxLength":9},
		"price":{"oneOf":[{"type":"string","pattern":"^\\d{1,7}$"},{"type":"number"}]},
		"tags":{"type":"array","maxItems":3,"items":{"type":"string","maxLength":3}}}}},
	"headers":{"ETag":{"description":"Version","schema":{"type":"string"}}},
	"securitySchemes":{"bearer":{"type":"http","scheme":"bearer"}}}}`

func TestLintAcceptsValidDocument(t *testing.T) {
	t.Parallel()
	findings, err := Lint([]byte(validDocument))
	if err != nil || len(findings) > 0 {
		t.Errorf("findings %q, %v", findings, err)
	}
}

func TestLintFindsViolations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, want string }{
		{`"version":"1"`, `"vision":"1"`, "the specification"},
		{`"in":"query"`, `"in":"body"`, "the specification"},
		{`"put-box"`, `"putBox"`, `the operationId "putBox" is not in kebab case`},
		{`"put":{`, `"get":{"operationId":"put-box"},"put":{`, `is also used by GET /boxes/{id}`},
		{`"summary":"Put a box",`, ``, "no summary"},
		{`"description":"Puts a box.",`, ``, "no description"},
		{`"tags":["boxes"],`, ``, "no tag"},
		{`"description":"Boxes."`, `"description":""`, "tag boxes has no description"},
		{`"description":"Id",`, ``, "parameter id has no description"},
		{`"200":{`, `"302":{`, "no 2xx status among the responses"},
		{`"429":{`, `"430":{`, "no 429 among the responses"},
		{`"503":{`, `"403":{`, "no 5xx status among the responses"},
		{`"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"},"example":{}}}},
	"429"`, `"application/json":{"schema":{"$ref":"#/components/schemas/Problem"},"example":{}}}},
	"429"`, "401 is not a problem response"},
		{`"security":[{"bearer":[]}],`, ``, "no security"},
		{`"security":[{"bearer":[]}]`, `"security":[{"basic":[]}]`, "the security scheme basic does not exist"},
		{`"401":{`, `"404":{`, "it requires a token and has no 401"},
		{`"/boxes/{id}"`, `"/boxes/{id}/{side}"`, "the path has the parameters [id side], but [id] are declared"},
		{`,"minimum":1`, ``, "parameter id has no minimum"},
		{`"required":true`, `"required":false`, "parameter id is not required"},
		{`"enum":["true"]`, `"default":"true"`, "parameter dryRun has no maxLength"},
		{`"label":{"type":"string","maxLength":9}`, `"label":{"type":"string"}`, "the body.label has no maxLength"},
		{`"maxItems":3,`, ``, "the body.tags has no maxItems"},
		{`"items":{"type":"string","maxLength":3}`, `"items":{"type":"string"}`, "the body.tags[] has no maxLength"},
		{`"items":{"type":"string","maxLength":3}`, `"items":{"$ref":"#/components/schemas/Box"}`, "can be nested without limit"},
		{`{1,7}$`, `{1,}$`, "the body.price has no maxLength"},
		{`{1,7}$`, `+$`, "the body.price has no maxLength"},
		{`{1,7}$`, `{1,7}`, "the body.price has no maxLength"},
		{`"additionalProperties":false,`, ``, "the body accepts undeclared fields"},
		{`"label":{"type"`, `"box_label":{"type"`, "property box_label is not in camelCase"},
		{`"dryRun"`, `"dry-run"`, "parameter dry-run is not in camelCase"},
		{`,"example":{"label":"a"}`, ``, "the request application/json has no example"},
		{`"$ref":"#/components/headers/ETag"`, `"$ref":"#/components/headers/Etag"`, "#/components/headers/Etag does not exist"},
		{`"headers":{"ETag":{"$ref":"#/components/headers/ETag"}}`, `"headers":{}`, "nothing refers to headers/ETag"},
		{`"Problem":{"type":"object"}`, `"Problem":{"type":"object"},"Lid":{"type":"object"}`, "nothing refers to schemas/Lid"},
	} {
		broken := strings.Replace(validDocument, c.from, c.to, 1)
		if !json.Valid([]byte(broken)) || broken == validDocument {
			t.Fatalf("replacing %s by %s does not produce another valid JSON document", c.from, c.to)
		}
		findings, err := Lint([]byte(broken))
		found := slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, c.want) })
		if err == nil && !found || err != nil && c.want != "the specification" && !strings.Contains(c.want, "does not exist") {
			t.Errorf("with %s: findings %q, %v; want %q", c.to, findings, err, c.want)
		}
	}
	if _, err := Lint([]byte(`{`)); err == nil {
		t.Error("Lint accepts invalid JSON")
	}
}
