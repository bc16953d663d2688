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

package sbatch

import (
	"fmt"
	"slices"
	"strings"
)

// Flag is one option with its value.
type Flag struct {
	// Name is canonical: the long name without the dashes.
	Name string
	// Value is empty where the option takes none or none was given.
	Value string
	// HasValue tells an empty value from none.
	HasValue bool
}

// String writes the flag as one word for sbatch's command line or an #SBATCH line, not quoted.
func (f Flag) String() string {
	if f.HasValue {
		return "--" + f.Name + "=" + f.Value
	}
	return "--" + f.Name
}

// Parse reads options as they stand in an annotation, quoted as for a shell.
func Parse(line string) ([]Flag, error) {
	words, err := Words(line)
	if err != nil {
		return nil, err
	}
	return ParseWords(words)
}

// ParseWords reads options that are words already. Names are matched whole: sbatch itself would take any unambiguous beginning of a name
// for the name, by which a check of names could be got around.
func ParseWords(words []string) ([]Flag, error) {
	var flags []Flag
	for i := 0; i < len(words); i++ {
		word := words[i]
		next := func() (string, bool) {
			if i+1 < len(words) {
				i++
				return words[i], true
			}
			return "", false
		}
		switch {
		case strings.HasPrefix(word, "--") && len(word) > 2:
			f, err := long(word, next)
			if err != nil {
				return nil, err
			}
			flags = append(flags, f)
		case strings.HasPrefix(word, "-") && len(word) > 1 && word[1] != '-':
			some, err := letters(word, next)
			if err != nil {
				return nil, err
			}
			flags = append(flags, some...)
		default:
			return nil, fmt.Errorf("%q is no option of sbatch: options begin with - or --", word)
		}
	}
	return flags, nil
}

func long(word string, next func() (string, bool)) (Flag, error) {
	name, value, has := strings.Cut(word[2:], "=")
	o, ok := options[name]
	if !ok {
		if full := beginnings(name); len(full) > 0 {
			return Flag{}, fmt.Errorf("--%s is no option of sbatch: write --%s in full", name, strings.Join(full, " or --"))
		}
		return Flag{}, fmt.Errorf("--%s is no option of sbatch", name)
	}
	switch {
	case o.arg == none && has:
		return Flag{}, fmt.Errorf("--%s takes no value", name)
	case o.arg == required && !has:
		if value, has = next(); !has {
			return Flag{}, fmt.Errorf("--%s needs a value", name)
		}
	}
	return Flag{Name: name, Value: value, HasValue: has}, nil
}

// letters reads a word of one-letter options, such as -N1, -N 1 or -OH.
func letters(word string, next func() (string, bool)) ([]Flag, error) {
	var flags []Flag
	for i := 1; i < len(word); i++ {
		name, ok := shorts[word[i]]
		if !ok {
			return nil, fmt.Errorf("-%c is no option of sbatch", word[i])
		}
		if options[name].arg == none {
			flags = append(flags, Flag{Name: name})
			continue
		}
		value, has := word[i+1:], i+1 < len(word)
		if !has && options[name].arg == required {
			if value, has = next(); !has {
				return nil, fmt.Errorf("-%c needs a value", word[i])
			}
		}
		return append(flags, Flag{Name: name, Value: value, HasValue: has}), nil
	}
	return flags, nil
}

// beginnings are the options that a name is the beginning of.
func beginnings(name string) []string {
	var full []string
	for o := range options {
		if name != "" && strings.HasPrefix(o, name) {
			full = append(full, o)
		}
	}
	slices.Sort(full)
	return full
}

// Check refuses what no pod may set, and what the site does not allow. Allowed options are given by their long names, with or without
// the dashes.
func Check(flags []Flag, allowed []string) error {
	for _, f := range flags {
		if why := options[f.Name].reserved; why != "" {
			return fmt.Errorf("--%s can't be set by a pod: %s", f.Name, why)
		}
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.TrimLeft(a, "-") == f.Name }) {
			return fmt.Errorf("--%s is not among the RemoteBackend's allowedFlags", f.Name)
		}
		if strings.ContainsAny(f.Value, "\n\x00") {
			return fmt.Errorf("the value of --%s holds a line break or a zero byte", f.Name)
		}
	}
	return nil
}

// Directives returns the options of a script's #SBATCH lines. As sbatch does, it reads them up to the first line that is neither
// empty nor a comment.
func Directives(script string) ([]Flag, error) {
	var flags []Flag
	for n, line := range strings.Split(script, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if trimmed := strings.TrimSpace(line); trimmed == "" {
			continue
		} else if !strings.HasPrefix(trimmed, "#") {
			break
		}
		rest, ok := strings.CutPrefix(line, "#SBATCH")
		if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			continue
		}
		words, err := Words(uncomment(rest))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		some, err := ParseWords(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		flags = append(flags, some...)
	}
	return flags, nil
}

// uncomment cuts a line at the first # that begins a word outside quotes.
func uncomment(line string) string {
	var quote rune
	blank := true
	for i, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '#' && blank:
			return line[:i]
		}
		blank = r == ' ' || r == '\t'
	}
	return line
}

// CheckName tells what is wrong with the name of an option, given with or without the dashes, that pods are to be allowed.
func CheckName(name string) error {
	bare := strings.TrimLeft(name, "-")
	o, ok := options[bare]
	switch {
	case !ok && len(beginnings(bare)) > 0:
		return fmt.Errorf("--%s is no option of sbatch: write --%s in full", bare, strings.Join(beginnings(bare), " or --"))
	case !ok:
		return fmt.Errorf("%s is no option of sbatch", name)
	case o.reserved != "":
		return fmt.Errorf("--%s can't be set by a pod: %s", bare, o.reserved)
	}
	return nil
}
