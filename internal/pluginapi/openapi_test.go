/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package pluginapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// operation is what this test looks at of an operation in the API's description.
type operation struct {
	OperationID string                     `json:"operationId"`
	Summary     string                     `json:"summary"`
	RequestBody map[string]json.RawMessage `json:"requestBody"`
	Responses   map[string]json.RawMessage `json:"responses"`
}

func TestTheDescriptionOfTheAPIHasEveryRouteAndNoOther(t *testing.T) {
	var document struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]operation
	}
	decoder := json.NewDecoder(bytes.NewReader(openAPIDocument))
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.0.") || document.Info.Title == "" || document.Info.Version == "" {
		t.Errorf("the document is of version %q and about %+v", document.OpenAPI, document.Info)
	}
	served := NewHandler(Options{}, "").(*handler).routes
	if described, want := sorted(document.Paths), sorted(served); !slices.Equal(described, want) {
		t.Errorf("it describes %q, and there are %q", described, want)
	}
	ids := map[string]bool{}
	for path, methods := range served {
		described := document.Paths[path]
		if len(described) != len(methods) {
			t.Errorf("%s is described with %q and takes %q", path, sorted(described), sorted(methods))
		}
		for method := range methods {
			operation, ok := described[strings.ToLower(method)]
			if !ok || operation.Summary == "" || ids[operation.OperationID] || len(operation.Responses["200"]) == 0 {
				t.Errorf("%s %s is not described well: %+v", method, path, operation)
			}
			ids[operation.OperationID] = true
			if method == "POST" && (operation.RequestBody == nil || len(operation.Responses["400"]) == 0 || len(operation.Responses["413"]) == 0 || len(operation.Responses["503"]) == 0) {
				t.Errorf("%s %s lacks its body or an error", method, path)
			}
		}
	}
}

// TestTheDescriptionOfTheAPIRefersToWhatItHolds follows each $ref of the document.
func TestTheDescriptionOfTheAPIRefersToWhatItHolds(t *testing.T) {
	var document map[string]any
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
				var at any = document
				for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					members, _ := at.(map[string]any)
					at = members[step]
				}
				if at == nil {
					t.Errorf("there is no %s", ref)
				}
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(document)
	for kind, members := range document["components"].(map[string]any) {
		for name := range members.(map[string]any) {
			if ref := fmt.Sprintf("#/components/%s/%s", kind, name); !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
}

// TestTheDescriptionNamesWhatIsDecoded holds the fields of the schemas against those of the types, snake_case aside.
func TestTheDescriptionNamesWhatIsDecoded(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	for schema, kind := range map[string]reflect.Type{
		"CreateRequest": reflect.TypeFor[createItem](), "Pod": reflect.TypeFor[createPod](), "ConfigMap": reflect.TypeFor[configMap](),
		"Secret": reflect.TypeFor[secret](), "Created": reflect.TypeFor[created](), "Ping": reflect.TypeFor[pong](), "SystemInfo": reflect.TypeFor[systemInfo](),
	} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if _, ok := document.Components.Schemas[schema].Properties[name]; !ok && !strings.Contains(name, "_") {
				t.Errorf("%s lacks %s", schema, name)
			}
		}
	}
}

func sorted[M ~map[string]V, V any](m M) []string { return slices.Sorted(maps.Keys(m)) }
