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

// Command cachecopy has a build take what it needs from one build cache and leave it in another, which then holds that and nothing else:
//
//	GOCACHEPROG="cachecopy FROM TO" go build ...
//
// See go doc cmd/go/internal/cacheprog for what it speaks with the go command.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

type request struct {
	ID       int64
	Command  string
	ActionID []byte
	OutputID []byte
	BodySize int64
}

type response struct {
	ID            int64
	Err           string     `json:",omitempty"`
	KnownCommands []string   `json:",omitempty"`
	Miss          bool       `json:",omitempty"`
	OutputID      []byte     `json:",omitempty"`
	Size          int64      `json:",omitempty"`
	Time          *time.Time `json:",omitempty"`
	DiskPath      string     `json:",omitempty"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cachecopy FROM TO")
		os.Exit(2)
	}
	if err := serve(os.Stdin, os.Stdout, cache(os.Args[1]), cache(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "cachecopy:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer, from, to cache) error {
	decoder, encoder := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	if err := encoder.Encode(response{KnownCommands: []string{"get", "put", "close"}}); err != nil {
		return err
	}
	for {
		var r request
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var body []byte
		if r.Command == "put" && r.BodySize > 0 {
			if err := decoder.Decode(&body); err != nil {
				return err
			}
		}
		answer, err := answer(r, body, from, to)
		if err != nil {
			answer = response{Err: err.Error()}
		}
		answer.ID = r.ID
		if err := encoder.Encode(answer); err != nil || r.Command == "close" {
			return err
		}
	}
}

func answer(r request, body []byte, from, to cache) (response, error) {
	switch r.Command {
	case "get":
		found, err := to.get(r.ActionID)
		if err != nil {
			if found, err = from.get(r.ActionID); errors.Is(err, fs.ErrNotExist) {
				return response{Miss: true}, nil
			} else if err != nil {
				return response{}, err
			}
			body, err := os.ReadFile(from.output(found.output))
			if errors.Is(err, fs.ErrNotExist) {
				return response{Miss: true}, nil // it was tidied away meanwhile
			} else if err != nil {
				return response{}, err
			}
			if err := to.put(r.ActionID, found.output, body); err != nil {
				return response{}, err
			}
		}
		at := time.Unix(0, found.nanos)
		return response{OutputID: found.output, Size: found.size, Time: &at, DiskPath: to.output(found.output)}, nil
	case "put":
		return response{DiskPath: to.output(r.OutputID)}, to.put(r.ActionID, r.OutputID, body)
	case "close":
		return response{}, nil
	default:
		return response{}, fmt.Errorf("the command %q is not known", r.Command)
	}
}

// cache is the directory of a build cache as the go command keeps it: the output of an action is in a file named after its content, and
// the action's own file names that.
type cache string

type entry struct {
	output []byte
	size   int64
	nanos  int64
}

func (c cache) file(id []byte, kind string) string {
	name := hex.EncodeToString(id)
	return filepath.Join(string(c), name[:2], name+kind)
}

func (c cache) output(id []byte) string { return c.file(id, "-d") }

func (c cache) get(action []byte) (entry, error) {
	text, err := os.ReadFile(c.file(action, "-a"))
	if err != nil {
		return entry{}, err
	}
	var version, id, output string
	var e entry
	if _, err := fmt.Sscan(string(text), &version, &id, &output, &e.size, &e.nanos); err != nil || version != "v1" {
		return entry{}, fmt.Errorf("%s is no entry of a build cache that is known here: %w", c.file(action, "-a"), err)
	}
	e.output, err = hex.DecodeString(output)
	return e, err
}

func (c cache) put(action, output, body []byte) error {
	for _, id := range [][]byte{action, output} {
		if err := os.MkdirAll(filepath.Dir(c.file(id, "")), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.output(output), body, 0o644); err != nil {
		return err
	}
	text := fmt.Appendf(nil, "v1 %x %x %20d %20d\n", action, output, len(body), time.Now().UnixNano())
	return os.WriteFile(c.file(action, "-a"), text, 0o644)
}
