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
	"testing"
	"unicode/utf8"
)

// The cases are those of the expansion document of Kubernetes (third_party/forked/golang/expansion) and some more.
func TestExpandAsTheKubeletDoes(t *testing.T) {
	variables := map[string]string{"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": "", "": "none"}
	for in_, want := range map[string]string{
		"$(VAR_A)":                              "A",
		"___$(VAR_B)___":                        "___B___",
		"___$(VAR_C)":                           "___C",
		"$(VAR_A)-$(VAR_A)":                     "A-A",
		"$(VAR_A)-1":                            "A-1",
		"$(VAR_A)_$(VAR_B)_$(VAR_C)":            "A_B_C",
		"$$(VAR_B)_$(VAR_A)":                    "$(VAR_B)_A",
		"$$(VAR_A)_$$(VAR_B)":                   "$(VAR_A)_$(VAR_B)",
		"f000-$$VAR_A":                          "f000-$VAR_A",
		"foo\\$(VAR_C)bar":                      "foo\\Cbar",
		"foo\\\\$(VAR_C)bar":                    "foo\\\\Cbar",
		"foo\\\\\\\\$(VAR_A)bar":                "foo\\\\\\\\Abar",
		"$(VAR_A$(VAR_B))":                      "$(VAR_A$(VAR_B))",
		"$(VAR_A$(VAR_B)":                       "$(VAR_A$(VAR_B)",
		"$(VAR_REF)":                            "$(VAR_A)",
		"%%$(VAR_REF)--$(VAR_REF)%%":            "%%$(VAR_A)--$(VAR_A)%%",
		"foo$(VAR_EMPTY)bar":                    "foobar",
		"foo$(VAR_Awhoops!":                     "foo$(VAR_Awhoops!",
		"f00__(VAR_A)__":                        "f00__(VAR_A)__",
		"$?_boo_$!":                             "$?_boo_$!",
		"$VAR_A":                                "$VAR_A",
		"${VAR_A}":                              "${VAR_A}",
		"foo_$(MISSING)_bar":                    "foo_$(MISSING)_bar",
		"$$$$$$(BIG_MONEY)":                     "$$$(BIG_MONEY)",
		"$$$$$$(VAR_A)":                         "$$$(VAR_A)",
		"$$$$$$$(GOOD_ODDS)":                    "$$$$(GOOD_ODDS)",
		"$$$$$$$(VAR_A)":                        "$$$A",
		"$VAR_A)":                               "$VAR_A)",
		"$(foo$$var)":                           "$(foo$$var)",
		"$()":                                   "none",
		"\n$(VAR_A)\n":                          "\nA\n",
		"$":                                     "$",
		"$$":                                    "$",
		"a$":                                    "a$",
		"":                                      "",
		"ü$ü$(VAR_A)€":                          "ü$üA€",
		"$\xff$(VAR_A)":                         "$\xffA",
		"a b \"c\" $HOME":                       "a b \"c\" $HOME",
		strings.Repeat("x", 1<<17) + "$(VAR_A)": strings.Repeat("x", 1<<17) + "A",
	} {
		if got := expand(in_, in(variables)); got != want {
			t.Errorf("%.60q becomes %.60q, want %.60q", in_, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"", "$", "$$", "$(A)", "$$(A)", "$(A", "$((A))", "\xff$\xfe", "a$b$(B)$$$(A)"} {
		f.Add(seed, "value", "$(A)")
	}
	f.Fuzz(func(t *testing.T, s, a, b string) {
		got := expand(s, in(map[string]string{"A": a, "B": b}))
		if want := kubeletExpand(s, map[string]string{"A": a, "B": b}); got != want {
			t.Fatalf("%q becomes %q, want %q", s, got, want)
		}
		// What is escaped comes out as it was.
		if back := expand(strings.ReplaceAll(s, "$", "$$"), in(map[string]string{"A": a})); back != s {
			t.Fatalf("%q, escaped, becomes %q", s, back)
		}
	})
}

// kubeletExpand is the rule in its plainest form: byte by byte, from the document's grammar.
func kubeletExpand(s string, variables map[string]string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		rest := s[i+1:]
		if rest[0] == '$' {
			out = append(out, '$')
			i++
			continue
		}
		if end := strings.IndexByte(rest, ')'); rest[0] == '(' && end > 0 {
			value, ok := variables[rest[1:end]]
			if !ok {
				value = "$" + rest[:end+1]
			}
			out = append(out, value...)
			i += end + 1
			continue
		}
		// A $ that begins nothing takes the next character with it.
		_, size := utf8.DecodeRuneInString(rest)
		out = append(out, '$')
		out = append(out, rest[:size]...)
		i += size
	}
	return string(out)
}
