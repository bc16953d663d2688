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
	"fmt"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
)

const (
	// maxOption bounds the numbers of a request for logs, far above what they can mean.
	maxOption int64 = 1 << 50
	// maxSinceSeconds is about three centuries, which a time.Duration can still hold.
	maxSinceSeconds int64 = 9_000_000_000
)

// logsRequest asks for what a container wrote.
type logsRequest struct {
	pod  v1alpha1.PodReference
	opts corev1.PodLogOptions
}

// decodeLogs reads a request for logs: from the body, or, where there is none, from the query. Names may be spelled as interLink does
// (PodUID), or in snake_case (pod_uid), and the options may stand in Opts or beside it.
func decodeLogs(r *http.Request, body []byte) (*logsRequest, error) {
	if len(bytes.TrimSpace(body)) > 0 {
		return decodeLogsBody(body)
	}
	fields := map[string]field{}
	for name, list := range parameters(r) {
		fields[name] = field{text: list[0]}
	}
	return logsOf(fields)
}

// field is a value as it arrived: the text of a parameter or string, or a JSON number, true or false.
type field struct {
	text string
	// bare is true of what had no quotes in JSON, so that it is no string.
	bare bool
}

func decodeLogsBody(body []byte) (*logsRequest, error) {
	s := strictjson.Scan(body)
	fields := map[string]field{}
	err := s.Members("the body", func(key []byte) error {
		if name := string(key); normalised(name) != "opts" {
			return option(s, fields, name)
		}
		return s.Members("Opts", func(key []byte) error { return option(s, fields, string(key)) })
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, malformed(err)
	}
	return logsOf(fields)
}

// option consumes a value that is a string, number or boolean. A null is as good as nothing.
func option(s *strictjson.Scanner, fields map[string]field, name string) error {
	switch s.Peek() {
	case 'n':
		_, err := s.Null()
		return err
	case '"':
		text, err := s.Text(name)
		fields[normalised(name)] = field{text: text}
		return err
	}
	nested := s.Peek() == '{' || s.Peek() == '['
	raw, err := s.Raw()
	if err != nil {
		return err
	}
	if nested {
		return &strictjson.TypeError{Field: strictjson.Clipped(name), Want: "a string, a number or a boolean"}
	}
	fields[normalised(name)] = field{text: string(raw), bare: true}
	return nil
}

// logsOf reads the fields of a request for logs. 0 and the year 1 mean that an option is not set.
func logsOf(fields map[string]field) (*logsRequest, error) {
	p := fieldParser{fields: fields}
	out := &logsRequest{
		pod: v1alpha1.PodReference{
			Namespace: p.text("Namespace", "PodNamespace"), Name: p.text("PodName", "Name"), UID: types.UID(p.text("PodUID", "UID")),
		},
		opts: corev1.PodLogOptions{
			Container: p.text("ContainerName", "Container"),
			Follow:    p.flag("Follow"), Previous: p.flag("Previous"), Timestamps: p.flag("Timestamps"),
			TailLines: p.number("Tail", "TailLines"), LimitBytes: p.number("Bytes", "LimitBytes"), SinceSeconds: p.number("SinceSeconds"),
			SinceTime: p.time("SinceTime"),
		},
	}
	if p.err != nil {
		return nil, p.err
	}
	if out.pod.UID == "" {
		return nil, badRequest(ledger.ReasonInvalid, "PodUID is missing")
	}
	switch since := out.opts.SinceSeconds; {
	case out.opts.SinceTime != nil:
		out.opts.SinceSeconds = nil // the more exact of the two
	case since != nil:
		*since = min(*since, maxSinceSeconds)
	}
	return out, nil
}

// fieldParser reads fields and keeps the first error.
type fieldParser struct {
	fields map[string]field
	err    error
}

// find returns the first field of these names that holds anything, and the name to tell of it by.
func (p *fieldParser) find(names ...string) (value field, name string) {
	for _, name := range names {
		if value := p.fields[normalised(name)]; value.text != "" {
			return value, name
		}
	}
	return field{}, ""
}

func (p *fieldParser) refuse(name, want string) {
	if p.err == nil {
		p.err = badRequest(ledger.ReasonInvalid, fmt.Sprintf("%s must be %s", name, want))
	}
}

func (p *fieldParser) text(names ...string) string {
	value, name := p.find(names...)
	if value.bare {
		p.refuse(name, "a string")
	}
	return value.text
}

func (p *fieldParser) flag(names ...string) bool {
	value, name := p.find(names...)
	if value.text == "" {
		return false
	}
	out, err := strconv.ParseBool(value.text)
	if err != nil {
		p.refuse(name, "true or false")
	}
	return out
}

// number returns the first number of these names that is set.
func (p *fieldParser) number(names ...string) (set *int64) {
	for _, name := range names {
		value := p.fields[normalised(name)]
		if value.text == "" {
			continue
		}
		out, err := strconv.ParseInt(value.text, 10, 64)
		if err != nil || out < 0 || out > maxOption {
			p.refuse(name, fmt.Sprintf("a whole number from 0 to %d", maxOption))
		}
		if set == nil && out != 0 {
			set = &out
		}
	}
	return set
}

func (p *fieldParser) time(names ...string) *metav1.Time {
	value, name := p.find(names...)
	if value.text == "" {
		return nil
	}
	out, err := time.Parse(time.RFC3339Nano, value.text)
	switch {
	case err != nil || value.bare:
		p.refuse(name, "a time such as 2006-01-02T15:04:05Z")
		return nil
	case out.Year() <= 1:
		return nil
	}
	return &metav1.Time{Time: out}
}
