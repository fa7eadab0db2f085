// Package asyncapi makes the AsyncAPI 3 document of the events, from the types and the topology in
// package event.
package asyncapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/buildinfo"
	"ecommerce-stack.dev/services/internal/openapi"
)

//go:generate go run ./internal/generate

// ContentType is the media type of the document.
const ContentType = "application/vnd.aai.asyncapi+json;version=3.0.0"

// described is an event with its description.
type described struct {
	event.Data
	description string
}

type object = map[string]any

const bindingVersion = "0.3.0"

// introduction is the description of the document.
const introduction = `The events that the services of a store publish on RabbitMQ, for consumers outside of the store.

- **Delivery** is at least once, and without order between events of different types: identify an event by its ` + "`id`" + `,
  and handle it twice without another effect.
- **Versions**: within a ` + "`dataversion`" + ` fields may be added, and none is renamed or removed. Ignore fields that you do
  not know, and events of types that you do not know.
- **A consumer** declares a queue of its own and binds it to the exchange ` + "`ecommerce.events`" + ` with the names of
  the events, as an account that may do only that. docs/events.md of the source code has a recipe.
- **Messages** are CloudEvents 1.0 in JSON, at most 64 KiB, and persistent.`

// Document returns the document in JSON.
func Document() ([]byte, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	channels, operations, messages := object{}, object{}, object{}
	for _, e := range events {
		name := e.EventType()
		channels[name] = object{
			"address": name, "title": name, "description": "The routing key of " + name + ".",
			"servers":  []any{ref("servers", "broker")},
			"messages": object{name: ref("components", "messages", name)},
			"bindings": amqp(object{"is": "routingKey", "exchange": object{"name": event.Exchange, "type": event.Exchanges[event.Exchange], "durable": true, "autoDelete": false}}),
		}
		operations["publish"+name] = object{
			"action": "send", "title": "Publish " + name, "description": e.description,
			"channel":  ref("channels", name),
			"messages": []any{ref("channels", name, "messages", name)},
			"tags":     []any{object{"name": publisher(name)}},
			"bindings": amqp(object{"deliveryMode": 2, "mandatory": event.IsRouted(name)}),
		}
		messages[name] = message(registry, e)
	}
	schemas := registry.Map()
	for _, s := range schemas {
		s.AdditionalProperties = nil // A later release may add fields.
	}
	body, err := json.Marshal(object{
		"asyncapi": "3.0.0", "id": "urn:ecommerce-stack:events",
		"info": object{
			"title": "Events of an e-commerce stack", "version": buildinfo.Version, "description": introduction,
			"license": object{"name": "MIT", "url": "https://opensource.org/license/mit"},
			"contact": object{"name": "The operators of the store", "url": "https://ecommerce-stack.dev"},
			"tags":    tags(),
		},
		"defaultContentType": event.ContentType,
		"servers": object{"broker": object{
			"host": "{host}", "pathname": "/{virtualHost}", "protocol": "amqp", "protocolVersion": "0-9-1",
			"description": "The RabbitMQ server of a stack, embedded or external",
			"variables": object{
				"host":        object{"description": "Address of the server", "default": "demo-rabbitmq.shop.svc:5672"},
				"virtualHost": object{"description": "Namespace and name of the stack", "default": "shop.demo"},
			},
			"security": []any{ref("components", "securitySchemes", "account")},
		}},
		"channels": channels, "operations": operations,
		"components": object{
			"messages": messages, "schemas": schemas,
			"securitySchemes": object{"account": object{"type": "userPassword", "description": "An account of the broker, which its administrator creates"}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the AsyncAPI document: %w", err)
	}
	return body, nil
}

// message returns the description of the messages of an event.
func message(registry huma.Registry, e described) object {
	name := e.EventType()
	payload := huma.SchemaFromType(registry, reflect.TypeFor[event.Envelope]())
	payload.AdditionalProperties = nil
	data := registry.Schema(reflect.TypeOf(e.Data), true, name)
	data.Description = "Data of the event"
	payload.Properties["data"] = data
	set := func(field, description string, change func(*huma.Schema)) {
		s := payload.Properties[field]
		s.Description = description
		change(s)
	}
	fixed := func(value string) func(*huma.Schema) { return func(s *huma.Schema) { s.Const = value } }
	example := func(values ...any) func(*huma.Schema) { return func(s *huma.Schema) { s.Examples = values } }
	set("specversion", "Version of CloudEvents", fixed(event.SpecVersion))
	set("id", "Id of the event, the same in each delivery", func(s *huma.Schema) { s.Format, s.Examples = "uuid", []any{"019b0000-0000-7000-8000-000000000001"} })
	set("source", "The service that has published the event", fixed("/ecommerce-stack/"+publisher(name)))
	set("type", "Type of the event", fixed(name))
	set("subject", "Id of the sale, or of what else the event is about", example(key(e.Data, openapi.Example(registry, data))))
	set("time", "When the event happened", func(*huma.Schema) {})
	set("datacontenttype", "Media type of the data", fixed("application/json"))
	set("dataversion", "Version of the data", fixed(event.DataVersion))
	set("traceparent", "The trace of the event (W3C Trace Context)", example("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	return object{
		"name": name, "title": name, "summary": e.description, "contentType": event.ContentType,
		"correlationId": object{"description": "Also the AMQP property correlation-id", "location": "$message.payload#/subject"},
		"headers": object{"type": "object", "properties": object{"traceparent": object{
			"type": "string", "description": "The span that has published the message (W3C Trace Context)"}}},
		"payload":  payload,
		"examples": []any{object{"name": name, "payload": openapi.Example(registry, payload)}},
		"bindings": amqp(object{"messageType": name}),
		"tags":     []any{object{"name": publisher(name)}},
	}
}

// key returns the key of an event with example data.
func key(data event.Data, example any) string {
	v := reflect.New(reflect.TypeOf(data))
	raw, err := json.Marshal(example)
	if err == nil {
		err = json.Unmarshal(raw, v.Interface())
	}
	e, ok := v.Interface().(event.Data)
	if err != nil || !ok {
		return ""
	}
	return e.Key()
}

// tags returns a tag for each service that publishes events.
func tags() (all []any) {
	for _, service := range slices.Sorted(maps.Keys(event.Permissions)) {
		if slices.ContainsFunc(events, func(e described) bool { return publisher(e.EventType()) == service }) {
			all = append(all, object{"name": service, "description": "Published by the service " + service})
		}
	}
	return all
}

// publisher returns the service that may publish an event.
func publisher(name string) string {
	for _, service := range slices.Sorted(maps.Keys(event.Permissions)) {
		if regexp.MustCompile(event.Permissions[service].TopicWrite).MatchString(name) {
			return service
		}
	}
	return ""
}

func ref(path ...string) object { return object{"$ref": "#/" + strings.Join(path, "/")} }

func amqp(binding object) object {
	binding["bindingVersion"] = bindingVersion
	return object{"amqp": binding}
}
