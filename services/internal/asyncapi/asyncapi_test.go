package asyncapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/asyncapi"
)

type object = map[string]any

func document(t *testing.T) (doc object, compiler *jsonschema.Compiler) {
	t.Helper()
	body, err := asyncapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	compiler = jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("memory:///asyncapi.json", v); err != nil {
		t.Fatal(err)
	}
	return v.(object), compiler
}

// goldenFiles returns the golden files of the events by their types.
func goldenFiles(t *testing.T) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../../event/testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".json")] = content
	}
	return files
}

func TestDocumentDescribesTheWireFormat(t *testing.T) {
	t.Parallel()
	doc, compiler := document(t)
	golden := goldenFiles(t)
	messages := doc["components"].(object)["messages"].(object)
	if len(messages) != len(golden) {
		t.Errorf("the document has %d messages, want %d", len(messages), len(golden))
	}
	for name, content := range golden {
		if messages[name] == nil {
			t.Errorf("the document has no message %s", name)
			continue
		}
		schema, err := compiler.Compile("memory:///asyncapi.json#/components/messages/" + name + "/payload")
		if err != nil {
			t.Fatal(err)
		}
		check := func(payload any) error {
			raw, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			return schema.Validate(v)
		}
		var envelope object
		if err := json.Unmarshal(content, &envelope); err != nil {
			t.Fatal(err)
		}
		// The golden files name the service sales for events of all services.
		envelope["source"] = schema.Properties["source"].Const
		if err := check(envelope); err != nil {
			t.Errorf("%s: the golden file: %v", name, err)
		}
		for _, example := range messages[name].(object)["examples"].([]any) {
			payload := example.(object)["payload"].(object)
			if err := check(payload); err != nil {
				t.Errorf("%s: the example: %v", name, err)
			}
			raw, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := event.Parse(raw); err != nil {
				t.Errorf("%s: the example: %v", name, err)
			}
		}
		data := envelope["data"].(object)
		data["addedLater"], envelope["addedlater"] = 1, 2
		if err := check(envelope); err != nil {
			t.Errorf("%s with fields of a later release: %v", name, err)
		}
		for field := range data {
			if field == "addedLater" || field == "repeated" {
				continue
			}
			without := object{}
			for other, v := range data {
				if other != field {
					without[other] = v
				}
			}
			envelope["data"] = without
			if check(envelope) == nil {
				t.Errorf("%s: the data may lack %s", name, field)
			}
		}
	}
}

func TestDocumentFollowsTheTopology(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	for name, v := range doc["channels"].(object) {
		channel := v.(object)
		exchange := channel["bindings"].(object)["amqp"].(object)["exchange"].(object)
		want := object{"name": event.Exchange, "type": "topic", "durable": true, "autoDelete": false}
		if diff := cmp.Diff(want, exchange); diff != "" || channel["address"] != name {
			t.Errorf("%s at %v (-want +got):\n%s", name, channel["address"], diff)
		}
		operation, ok := doc["operations"].(object)["publish"+name].(object)
		if !ok || operation["action"] != "send" {
			t.Errorf("%s has no operation that sends it", name)
			continue
		}
		mandatory := operation["bindings"].(object)["amqp"].(object)["mandatory"]
		if mandatory != event.IsRouted(name) {
			t.Errorf("%s: mandatory is %v", name, mandatory)
		}
	}
	publishers := map[string]string{"SaleConfirmed": "sales", "StockReleased": "stock", "ProductChanged": "stock"}
	for name, want := range publishers {
		tags := doc["operations"].(object)["publish"+name].(object)["tags"].([]any)
		if got := tags[0].(object)["name"]; got != want {
			t.Errorf("%s is published by %v, want %s", name, got, want)
		}
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	describe := func(where string, schema object) {
		for name, v := range schema["properties"].(object) {
			if property := v.(object); property["description"] == nil {
				t.Errorf("%s.%s has no description: add the tag doc to the field in services/event", where, name)
			}
		}
	}
	for name, v := range doc["components"].(object)["schemas"].(object) {
		describe(name, v.(object))
	}
	for name, v := range doc["components"].(object)["messages"].(object) {
		message := v.(object)
		if message["summary"] == "" {
			t.Errorf("%s has no summary", name)
		}
		describe(name, message["payload"].(object))
	}
}
