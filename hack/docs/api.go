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

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// crd is what the reference needs of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Kind       string   `json:"kind"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []struct {
			Name    string   `json:"name"`
			Columns []column `json:"additionalPrinterColumns"`
			Schema  struct {
				OpenAPI schema `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

type column struct {
	Name     string `json:"name"`
	JSONPath string `json:"jsonPath"`
	Priority int    `json:"priority"`
}

// schema is a part of an OpenAPI schema.
type schema struct {
	Type        string            `json:"type"`
	Format      string            `json:"format"`
	Description string            `json:"description"`
	Default     json.RawMessage   `json:"default"`
	Enum        []json.RawMessage `json:"enum"`
	Pattern     string            `json:"pattern"`
	Minimum     *float64          `json:"minimum"`
	MaxLength   *int              `json:"maxLength"`
	MaxItems    *int              `json:"maxItems"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Additional  *schema           `json:"additionalProperties"`
	IntOrString bool              `json:"x-kubernetes-int-or-string"`
	Preserve    bool              `json:"x-kubernetes-preserve-unknown-fields"`
	Validations []struct {
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

const kubernetesAPI = "https://kubernetes.io/docs/reference/kubernetes-api/"

// foreign are the fields whose types are Kubernetes' own, where its reference says more.
var foreign = map[string]string{
	"conditions":            "[metav1.Condition](" + kubernetesAPI + "definitions/condition-v1-meta/) list",
	"containerStatuses":     "[v1.ContainerStatus](" + kubernetesAPI + "core/pod-v1/) list",
	"initContainerStatuses": "[v1.ContainerStatus](" + kubernetesAPI + "core/pod-v1/) list",
	"taints":                "[v1.Taint](" + kubernetesAPI + "core/node-v1/) list",
	"template":              "[v1.PodTemplateSpec](" + kubernetesAPI + "core/pod-template-v1/)",
}

// readCRD reads a CustomResourceDefinition of one version.
func readCRD(file string) (*crd, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	definition := &crd{}
	if err := yaml.Unmarshal(data, definition); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(definition.Spec.Versions) != 1 {
		return nil, fmt.Errorf("%s: the reference is written for one version, and there are %d", file, len(definition.Spec.Versions))
	}
	return definition, nil
}

// kindFields is the reference of one kind.
func kindFields(file string) (string, error) {
	definition, err := readCRD(file)
	if err != nil {
		return "", err
	}
	version := definition.Spec.Versions[0]
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s\n\n", oneLine(version.Schema.OpenAPI.Description))
	fmt.Fprintf(&out, "`apiVersion: %s/%s`, %s-scoped, short name `%s`.\n", definition.Spec.Group, version.Name, strings.ToLower(definition.Spec.Scope), strings.Join(definition.Spec.Names.ShortNames, "`, `"))
	for _, part := range []string{"spec", "status"} {
		fmt.Fprintf(&out, "\n### %s %s\n\n| field | type | what it is |\n|---|---|---|\n", definition.Spec.Names.Kind, part)
		top := version.Schema.OpenAPI.Properties[part]
		writeProperties(&out, "", top)
		if rules := messages(top); rules != "" {
			fmt.Fprintf(&out, "\nChecked by the API server as well: %s.\n", rules)
		}
	}
	out.WriteString("\n### Columns of kubectl get " + strings.ToLower(definition.Spec.Names.Kind) + "s\n\n| column | from | |\n|---|---|---|\n")
	for _, c := range version.Columns {
		wide := ""
		if c.Priority > 0 {
			wide = "with `-o wide`"
		}
		fmt.Fprintf(&out, "| %s | `%s` | %s |\n", strings.ToUpper(c.Name), c.JSONPath, wide)
	}
	return out.String() + "\n", nil
}

func writeProperties(out *strings.Builder, at string, s schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		kind, ours := typeOf(name, property)
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", at+name, kind, explain(property, slices.Contains(s.Required, name)))
		if !ours {
			continue
		}
		if property.Items != nil {
			writeProperties(out, at+name+"[*].", *property.Items)
		}
		writeProperties(out, at+name+".", property)
	}
}

// typeOf is a field's type in words, and whether the fields below it are to be told of.
func typeOf(name string, s schema) (kind string, ours bool) {
	if kind, ok := foreign[name]; ok {
		return kind, false
	}
	switch {
	case strings.HasSuffix(name, "SecretRef"):
		return "object with the `name` of a Secret", false
	case s.IntOrString:
		return "[quantity](" + kubernetesAPI + "definitions/quantity-resource/)", false
	case s.Type == "array" && s.Items != nil:
		inner, _ := typeOf("", *s.Items)
		return inner + " list", true
	case s.Type == "object" && s.Additional != nil:
		inner, _ := typeOf("", *s.Additional)
		return "map to " + inner, false
	case s.Format == "date-time":
		return "time", false
	}
	return s.Type, true
}

// explain is a field's description and what the API server wants of its value.
func explain(s schema, required bool) string {
	words := []string{oneLine(s.Description)}
	if required {
		words = append(words, "Required.")
	}
	if len(s.Default) > 0 && string(s.Default) != "{}" {
		words = append(words, "Default: `"+strings.Trim(string(s.Default), `"`)+"`.")
	}
	if len(s.Enum) > 0 {
		values := make([]string, 0, len(s.Enum))
		for _, value := range s.Enum {
			values = append(values, "`"+strings.Trim(string(value), `"`)+"`")
		}
		words = append(words, "One of "+strings.Join(values, ", ")+".")
	}
	if s.Pattern != "" && !s.IntOrString {
		words = append(words, "Pattern: `"+strings.ReplaceAll(s.Pattern, "|", "\\|")+"`.")
	}
	if s.Minimum != nil {
		words = append(words, fmt.Sprintf("At least %g.", *s.Minimum))
	}
	if s.MaxLength != nil {
		words = append(words, fmt.Sprintf("At most %d characters.", *s.MaxLength))
	}
	if s.MaxItems != nil {
		words = append(words, fmt.Sprintf("At most %d.", *s.MaxItems))
	}
	if rules := messages(s); rules != "" {
		words = append(words, "Checked: "+rules+".")
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// messages are what the rules of a part of the schema say when they are broken.
func messages(s schema) string {
	words := make([]string, 0, len(s.Validations))
	for _, rule := range s.Validations {
		words = append(words, rule.Message)
	}
	return strings.Join(words, "; ")
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
