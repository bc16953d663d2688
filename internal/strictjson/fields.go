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

package strictjson

import (
	"reflect"
	"strings"
	"sync"
)

// jsonField is a field of a struct as encoding/json sees it.
type jsonField struct {
	name string
	kind reflect.Type
}

// fieldTables holds, by struct type, the fields by their names.
var fieldTables sync.Map

// fieldOf returns the field that a key decodes into. As encoding/json does, it takes a key that differs in case for want of a better one.
func fieldOf(kind reflect.Type, key string) (jsonField, bool) {
	fields := fieldsOf(kind)
	for i := range fields {
		if fields[i].name == key {
			return fields[i], true
		}
	}
	for i := range fields {
		if strings.EqualFold(fields[i].name, key) {
			return fields[i], true
		}
	}
	return jsonField{}, false
}

func fieldsOf(kind reflect.Type) []jsonField {
	if known, ok := fieldTables.Load(kind); ok {
		return known.([]jsonField)
	}
	var fields []jsonField
	for i := range kind.NumField() {
		field := kind.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-", !field.IsExported():
		case name == "" && field.Anonymous:
			fields = append(fields, fieldsOf(field.Type)...)
		case name == "":
			fields = append(fields, jsonField{name: field.Name, kind: field.Type})
		default:
			fields = append(fields, jsonField{name: name, kind: field.Type})
		}
	}
	fieldTables.Store(kind, fields)
	return fields
}
