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
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// status answers GET and POST /status: questions about pods, or, with an empty list, the ping.
func (h *handler) status(w http.ResponseWriter, r *http.Request) error {
	return h.readBody(w, r, func(body []byte) error {
		questions, err := questionsOf(r, body)
		if err != nil {
			return err
		}
		if len(questions) == 0 {
			return h.ping(w, r)
		}
		answer, err := h.Ledger.Status(r.Context(), questions)
		if err != nil {
			return err
		}
		return writeJSON(w, answer)
	})
}

// questionsOf reads the questions from the body, or, where there is none, from the query.
func questionsOf(r *http.Request, body []byte) ([]ledger.Question, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return questionsOfQuery(r)
	}
	pods, err := scanPods(body)
	if err != nil {
		return nil, malformed(err)
	}
	questions := make([]ledger.Question, len(pods))
	for i := range pods {
		questions[i] = pods[i].question()
		if questions[i].Pod.UID == "" {
			return nil, badRequest(ledger.ReasonInvalid, "metadata.uid of a pod is missing")
		}
	}
	return questions, nil
}

// questionsOfQuery reads questions that give UIDs alone, or one pod's UID, namespace and name.
func questionsOfQuery(r *http.Request) ([]ledger.Question, error) {
	query := parameters(r)
	var uids []string
	for _, name := range []string{"poduid", "uid", "poduids", "uids"} {
		for _, value := range query[name] {
			uids = append(uids, strings.Split(value, ",")...)
		}
	}
	if len(uids) == 0 {
		if len(query) > 0 {
			return nil, badRequest(ledger.ReasonInvalid, "pod_uid is missing from the query")
		}
		return nil, nil
	}
	namespace, name := query.first("namespace", "podnamespace"), query.first("name", "podname")
	var questions []ledger.Question
	for _, uid := range uids {
		if uid == "" {
			return nil, badRequest(ledger.ReasonInvalid, "pod_uid in the query is empty")
		}
		pod := v1alpha1.PodReference{UID: types.UID(uid), Namespace: namespace, Name: name}
		if !slices.ContainsFunc(questions, func(q ledger.Question) bool { return q.Pod == pod }) {
			questions = append(questions, ledger.Question{Pod: pod})
		}
	}
	return questions, nil
}

// values are the parameters of a query by normalised name.
type values map[string][]string

func (v values) first(names ...string) string {
	for _, name := range names {
		if len(v[name]) > 0 {
			return v[name][0]
		}
	}
	return ""
}

// parameters returns the query with its names normalised: the Python SDK spells them in snake_case, interLink as in Go.
func parameters(r *http.Request) values {
	out := values{}
	for name, list := range r.URL.Query() {
		name = normalised(name)
		out[name] = append(out[name], list...)
	}
	return out
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "")

// normalised makes names that are spelled differently alike: PodUID, podUID and pod_uid.
func normalised(name string) string {
	return strings.ToLower(separators.Replace(name))
}
