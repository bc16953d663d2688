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

package queue

import (
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Comment is what a job's comment says: whose job it is, for the operator, and what it runs, for people and tools.
type Comment struct {
	// Token, Ledger and Backend make a job ours.
	Token, Ledger string
	Backend       types.UID
	// Job is the RemoteJob, Pod the pod and UID the pod's.
	Job, Pod types.NamespacedName
	UID      types.UID
}

// CommentOf is the comment of a workload's job.
func CommentOf(w *workload.Workload) Comment {
	c := Comment{Token: w.Token, Ledger: w.Ledger, Backend: w.Backend, Job: w.Job}
	if w.Pod != nil {
		c.Pod, c.UID = types.NamespacedName{Namespace: w.Pod.Namespace, Name: w.Pod.Name}, w.Pod.UID
	}
	return c
}

// commentMark begins each comment of ours.
const commentMark = "remotejob;"

// String writes the comment. It holds no blanks, no separators of squeue's and sacct's lines, and nothing that is not ASCII, since
// accounting databases are not all made for that.
func (c Comment) String() string {
	var b strings.Builder
	b.WriteString(commentMark)
	for i, field := range c.fields() {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(field.name + "=" + strings.ReplaceAll(url.QueryEscape(*field.value), "%2F", "/"))
	}
	return b.String()
}

// ParseComment reads a comment, and tells whether it is one of ours.
func ParseComment(s string) (Comment, bool) {
	rest, ok := strings.CutPrefix(s, commentMark)
	if !ok {
		return Comment{}, false
	}
	values := map[string]string{}
	for field := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(field, "=")
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return Comment{}, false
		}
		values[name] = plain
	}
	var c Comment
	for _, field := range c.fields() {
		*field.value = values[field.name]
	}
	return c, c.Token != ""
}

type commentField struct {
	name  string
	value *string
}

func (c *Comment) fields() []commentField {
	return []commentField{
		{"token", &c.Token},
		{"ledger", &c.Ledger},
		{"backend", (*string)(&c.Backend)},
		{"jobNamespace", &c.Job.Namespace},
		{"job", &c.Job.Name},
		{"namespace", &c.Pod.Namespace},
		{"pod", &c.Pod.Name},
		{"uid", (*string)(&c.UID)},
	}
}
