// Package openapi makes the OpenAPI documents: that of a service, from the types of its
// operations, their examples and a manual, and that of the gateway, which merges those of
// the services.
package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ecommerce-stack.dev/services/internal/buildinfo"
)

// object is a JSON object.
type object = map[string]any

const schemas = "#/components/schemas/"

// Forwarded is how the gateway forwards an operation.
type Forwarded struct {
	// Stream is set if the end of the response is not foreseeable, Cached if the gateway
	// caches responses.
	Stream, Cached bool
}

// ForwardedOf returns how an operation is forwarded, or nil if it is not.
type ForwardedOf func(method, path string) *Forwarded

// Service is a service's own document.
type Service struct {
	Name     string
	Document []byte
}

// Merge returns the document of the operations that the gateway forwards, with what it adds
// to them. If two services have different schemas of one name, the name of the service is
// prepended to that of the second one.
func Merge(services []Service, forwardedOf ForwardedOf) ([]byte, error) {
	paths, shared, security, headers := object{}, object{}, object{}, gatewayHeaders()
	var tags []any
	for _, s := range services {
		var doc object
		if err := json.Unmarshal(s.Document, &doc); err != nil {
			return nil, fmt.Errorf("read the document of %s: %w", s.Name, err)
		}
		components := child(doc, "components")
		own := child(components, "schemas")
		// A schema that refers to a renamed one now differs, too.
		for renamed := clashes(s.Name, own, shared); len(renamed) > 0; renamed = clashes(s.Name, own, shared) {
			rename(doc, renamed)
			for from, to := range renamed {
				own[to] = own[from]
				delete(own, from)
			}
		}
		maps.Copy(shared, own)
		maps.Copy(security, child(components, "securitySchemes"))
		maps.Copy(headers, child(components, "headers"))
		addPaths(paths, child(doc, "paths"), forwardedOf)
		described, _ := doc["tags"].([]any)
		tags = append(tags, described...)
	}
	merged := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "E-commerce stack", "version": buildinfo.Version, "description": introduction,
			"license": object{"name": "MIT", "identifier": "MIT"},
			"contact": object{"name": contactName, "url": contactURL},
		},
		"servers":    []any{object{"url": "/", "description": "The gateway that this document comes from"}},
		"tags":       used(tags, paths),
		"paths":      paths,
		"components": object{"schemas": shared, "securitySchemes": security, "headers": headers},
	}
	responses := object{}
	shareResponses(merged, responses)
	addDefault(merged, responses)
	child(merged, "components")["responses"] = responses
	prune(merged, "schemas", "headers")
	body, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("encode the merged document: %w", err)
	}
	return body, nil
}

func child(o object, name string) object {
	c, _ := o[name].(object)
	return c
}

// clashes returns the new names of the schemas whose name another service uses for a
// different one.
func clashes(service string, own, shared object) map[string]string {
	renamed := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if other, ok := shared[name]; ok && !reflect.DeepEqual(other, own[name]) {
			renamed[name] = title(service) + name
		}
	}
	return renamed
}

func title(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// rename changes every reference in v to a renamed schema.
func rename(v any, renamed map[string]string) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			if to, ok := renamed[strings.TrimPrefix(ref, schemas)]; ok {
				v["$ref"] = schemas + to
			}
		}
		mapping := child(child(v, "discriminator"), "mapping")
		for value, ref := range mapping {
			if to, ok := renamed[strings.TrimPrefix(text(ref), schemas)]; ok {
				mapping[value] = schemas + to
			}
		}
		for _, member := range v {
			rename(member, renamed)
		}
	case []any:
		for _, member := range v {
			rename(member, renamed)
		}
	}
}

var methods = []string{"get", "post", "put", "patch", "delete"}

// addPaths merges by method: two services may share a path.
func addPaths(to, from object, forwardedOf ForwardedOf) {
	for path, v := range from {
		item, _ := v.(object)
		for _, m := range methods {
			op, ok := item[m].(object)
			if !ok {
				continue
			}
			r := forwardedOf(strings.ToUpper(m), path)
			if r == nil {
				continue
			}
			if _, ok := to[path].(object); !ok {
				to[path] = object{}
			}
			addGateway(op, path, r)
			to[path].(object)[m] = op
		}
	}
}
