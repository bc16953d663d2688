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

// Package docs does what the documents say: it runs the commands in README.md and docs/, block by block, as somebody does who copies and
// pastes them.
package docs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Block is a piece of a document between fences.
type Block struct {
	// Page is the document, and Line the number of the block's first line in it.
	Page string
	Line int
	// Language is what stands behind the fence: sh, yaml, text.
	Language string
	Content  string
	// Expected is the block of text that follows a block of commands: what they print.
	Expected string

	Directive
}

// Directive is what a comment before a block says of it, invisible to readers.
type Directive struct {
	// NotRun is why it is not run.
	NotRun string
	// Cluster is set for what takes a cluster with kubelets.
	Cluster bool
	// Until is what a command prints that goes on in the background, when the next one can be run.
	Until string
}

var (
	fenceLine = regexp.MustCompile("^( *)```([a-z]*)$")
	comment   = regexp.MustCompile(`^ *<!-- (not run|run): (.*) -->$`)
	until     = regexp.MustCompile(`^in the background until (".*")$`)
)

// Blocks are the blocks of a page, in their order.
func Blocks(page, text string) ([]Block, error) {
	var out []Block
	var open *Block
	var indent string
	var next Directive
	directed, gap := false, 0
	for number, line := range strings.Split(text, "\n") {
		fence := fenceLine.FindStringSubmatch(line)
		switch {
		case open != nil && fence != nil && fence[2] == "":
			if open.Language == "text" && len(out) > 0 && gap == 0 && out[len(out)-1].Language == "sh" {
				out[len(out)-1].Expected = open.Content
			} else {
				out = append(out, *open)
			}
			open, gap = nil, 0
		case open != nil:
			open.Content += strings.TrimPrefix(line, indent) + "\n"
		case fence != nil:
			indent = fence[1]
			open = &Block{Page: page, Line: number + 2, Language: fence[2], Directive: next}
			next, directed = Directive{}, false
		case strings.HasPrefix(strings.TrimSpace(line), "<!-- run:") || strings.HasPrefix(strings.TrimSpace(line), "<!-- not run:"):
			var err error
			if next, err = directive(line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", page, number+1, err)
			}
			directed = true
		case directed:
			return nil, fmt.Errorf("%s:%d: what the comment before says is about a block, and none follows", page, number+1)
		case strings.TrimSpace(line) != "":
			gap++
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s:%d: the block has no end", page, open.Line)
	}
	return out, nil
}

func directive(line string) (Directive, error) {
	m := comment.FindStringSubmatch(line)
	if m == nil {
		return Directive{}, fmt.Errorf("%s can't be understood", line)
	}
	if m[1] == "not run" {
		return Directive{NotRun: m[2]}, nil
	}
	if m[2] == "in a cluster" {
		return Directive{Cluster: true}, nil
	}
	if u := until.FindStringSubmatch(m[2]); u != nil {
		words, err := strconv.Unquote(u[1])
		return Directive{Until: words}, err
	}
	return Directive{}, fmt.Errorf("%s: there is no %q", line, m[2])
}

var spaces = regexp.MustCompile(`\s+`)

// Printed tells whether an output has the expected lines, in their order, other lines between them left aside. An … stands for anything,
// and a space for any number of them.
func Printed(expected, output string) error {
	lines := strings.Split(output, "\n")
	at := 0
	for want := range strings.Lines(expected) {
		want = strings.TrimSpace(want)
		if want == "" || want == "…" {
			continue
		}
		pattern := spaces.ReplaceAllString(regexp.QuoteMeta(want), `\s+`)
		pattern = strings.ReplaceAll(pattern, "…", ".*")
		like, err := regexp.Compile("^" + pattern + "$")
		if err != nil {
			return err
		}
		for at < len(lines) && !like.MatchString(strings.TrimSpace(lines[at])) {
			at++
		}
		if at == len(lines) {
			return fmt.Errorf("it does not print %q", want)
		}
		at++
	}
	return nil
}
