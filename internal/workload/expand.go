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

package workload

import (
	"strings"
	"unicode/utf8"
)

// Expand replaces references to variables in s as the kubelet does, see expand.
func Expand(s string, variables map[string]string) string { return expand(s, in(variables)) }

// expand replaces references to variables in s as the kubelet does: $(NAME) becomes what lookup says, or stays when lookup does not know
// NAME; $$ becomes $, so $$(NAME) stays as $(NAME); any other $ stays.
func expand(s string, lookup func(name string) (string, bool)) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var out strings.Builder
	for {
		dollar := strings.IndexByte(s, '$')
		if dollar < 0 || dollar == len(s)-1 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:dollar])
		s = s[dollar+1:]
		switch s[0] {
		case '$':
			out.WriteByte('$')
			s = s[1:]
		case '(':
			end := strings.IndexByte(s, ')')
			if end < 0 {
				out.WriteString("$(")
				s = s[1:]
				continue
			}
			name := s[1:end]
			if value, ok := lookup(name); ok {
				out.WriteString(value)
			} else {
				out.WriteString("$(" + name + ")")
			}
			s = s[end+1:]
		default:
			_, size := utf8.DecodeRuneInString(s)
			out.WriteString("$" + s[:size])
			s = s[size:]
		}
	}
}

// in makes a lookup for expand.
func in(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}
