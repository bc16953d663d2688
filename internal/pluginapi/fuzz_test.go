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
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
)

// seeds adds bodies to start from: the forms that interLink and its guide send, cut short, since the fuzzer spends its time on making
// large ones smaller, and some that nobody should send.
func seeds(f *testing.F, more ...string) {
	f.Helper()
	for _, body := range append(more,
		`{"pod":{"metadata":{"name":"p","namespace":"n","uid":"u","labels":{"l":"v"},"annotations":null},"spec":{"containers":[{"name":"c","image":"i"}]}},"container":[{"name":"c","configMaps":null}],"jobConfig":{}}`,
		`[{"pod":{"metadata":{"uid":"u"}},"configmaps":[{"metadata":{"name":"c"},"data":{"a":"b"}}],"secrets":[],"jobscriptURL":""}]`,
		`[{"metadata":{"name":"p","uid":"u","annotations":{"JobID":"j"}},"spec":{"containers":[{"name":"c"}]},"status":{"phase":"Pending","a":[1,-2.5e3,true,null]}}]`,
		``, `null`, `[]`, `{}`, `[null]`, `"`, `[[[[`, `{"a":{"a":{"a":`, "\x00", `{"pod":{}}`, `1e999`,
	) {
		f.Add([]byte(body))
	}
}

// answers fails unless err is nil or an answer of the kind 4xx in one line.
func answers(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	code, reason, message := statusOf(err)
	if code < 400 || code > 499 || reason == "" || len(oneLine(message)) < 10 {
		t.Fatalf("%d %q %q is no answer", code, reason, message)
	}
}

func FuzzDecodeCreate(f *testing.F) {
	seeds(f,
		`[{"pod":{"metadata":{"name":"p","uid":"u","namespace":"n"},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1e-9","memory":5}}}]}},"configmaps":[{"metadata":{"name":"c"},"binaryData":{"a":"AA=="}}]}]`,
		`{"pod":{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":"x"}}}],"volumes":[{"emptyDir":{"sizeLimit":"1E5"}}],"Hostnetwork":null}}}`,
	)
	f.Fuzz(func(t *testing.T, kept []byte) {
		body := bytes.Clone(kept)
		requests, list, err := decodeCreate(body)
		answers(t, err)
		if err == nil && (len(requests) == 0 || (!list && len(requests) != 1)) {
			t.Fatalf("no error, and %d requests", len(requests))
		}
		for i := range requests {
			if requests[i].Pod == nil {
				t.Fatal("a request has no pod")
			}
		}
		// What was decoded is not part of the body, which is used again for the next request.
		before := spelled(t, requests)
		for i := range body {
			body[i] = 'x'
		}
		if after := spelled(t, requests); after != before {
			t.Fatalf("the requests changed with the body %q", kept)
		}
	})
}

func spelled(t *testing.T, requests []ledger.CreateRequest) string {
	out := ""
	for i := range requests {
		text, err := json.Marshal(requests[i])
		if err != nil {
			t.Fatal(err)
		}
		out += string(text)
	}
	return out
}

// FuzzCheck holds the walk that goes before decoding against encoding/json: what passes can be decoded, and what can be decoded passes,
// but for quantities that cost too much.
func FuzzCheck(f *testing.F) {
	seeds(f,
		`{"pod":{"spec":{"containers":[{"name":"c","Image":"i","env":[{"name":"a","value":null}],"ports":[{"containerPort":2147483648}]}]}}}`,
		`{"pod":{"metadata":{"labels":{"a":1}}},"secrets":[{"data":{"a":"A"}}]}`,
	)
	f.Fuzz(func(t *testing.T, body []byte) {
		err := strictjson.Check(body, new(createItem))
		var decoded createItem
		if err == nil {
			if err := json.Unmarshal(body, &decoded); err != nil {
				t.Fatalf("it passes, and can't be decoded: %v", err)
			}
			return
		}
		// Fields of the spec that are not known, and quantities, are all that may be refused beside.
		if strings.Contains(err.Error(), "is not known") || strings.Contains(err.Error(), "quantity") || costly.Match(body) {
			return
		}
		if json.Unmarshal(body, &decoded) == nil {
			t.Fatalf("it is refused (%v), and can be decoded", err)
		}
	})
}

// costly are quantities that encoding/json must not be let loose on.
var costly = regexp.MustCompile(`[eE][+-]?[0-9]{3}`)

// FuzzScanPods holds the scanner that picks a few names out of whole pods against encoding/json.
func FuzzScanPods(f *testing.F) {
	seeds(f,
		`[{"metadata":{"name":"a\u00e9\ud800","uid":"\n","annotations":{"JobID":"j","remotejob.dev/backend":"b"}},"spec":{"nodeName":"n","containers":[{"name":"c"},{}],"initContainers":null}}]`,
		`{"pod_uid":"u","PodJID":"j","Name":"n","init_containers":[{"name":"i"}]}`,
		"[{\"metadata\":{\"uid\":\"\xff\"}} , {}]",
	)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := scanPods(body)
		answers(t, malformedOrNil(err))
		var syntax *strictjson.SyntaxError
		isSyntax := errors.As(err, &syntax)
		if valid := json.Valid(body); err == nil && !valid {
			t.Fatalf("%q passes and is not valid JSON", body)
		} else if isSyntax && valid {
			t.Fatalf("%q is valid JSON: %v", body, err)
		}
		if err != nil {
			return
		}
		want, err := slowScan(body)
		if err != nil {
			t.Fatalf("%q passes, and encoding/json does not get through it: %v", body, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d pods, want %d", body, len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("%q: got %+v, want %+v", body, got[i], want[i])
			}
		}
	})
}

func malformedOrNil(err error) error {
	if err == nil {
		return nil
	}
	return malformed(err)
}

// FuzzDecodeLogs asks for logs by body and by query.
func FuzzDecodeLogs(f *testing.F) {
	for _, body := range []string{
		`{"PodUID":"u","Opts":{"Tail":5,"SinceTime":"0001-01-01T00:00:00Z","SinceSeconds":3600}}`, `{"pod_uid":"u","opts":{"tail":"5"},"Follow":1}`, `{`, `null`, `[]`, ``,
	} {
		f.Add([]byte(body), "PodUID=u&Tail=5&SinceTime=2026-01-01T00:00:00Z")
	}
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		r := httptest.NewRequest(http.MethodGet, "/getLogs", nil)
		r.URL.RawQuery = query
		request, err := decodeLogs(r, body)
		answers(t, err)
		if err != nil {
			return
		}
		o := request.opts
		if request.pod.UID == "" {
			t.Fatal("nobody is asked about")
		}
		for _, number := range []*int64{o.TailLines, o.LimitBytes, o.SinceSeconds} {
			if number != nil && (*number <= 0 || *number > maxOption) {
				t.Fatalf("a number is %d", *number)
			}
		}
		if o.SinceTime != nil && (o.SinceTime.IsZero() || o.SinceSeconds != nil) {
			t.Fatalf("since %v and %v", o.SinceTime, o.SinceSeconds)
		}
	})
}

// FuzzQuestions asks about pods by body and by query.
func FuzzQuestions(f *testing.F) {
	f.Add([]byte(``), "pod_uid=a&pod_uid=b,c&name=n")
	f.Add([]byte(` `), "PodUID=%ff&&=;")
	f.Add([]byte(`[{"metadata":{"uid":"u"}}]`), "")
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		r := httptest.NewRequest(http.MethodGet, "/status", nil)
		r.URL = &url.URL{Path: "/status", RawQuery: query}
		questions, err := questionsOf(r, body)
		answers(t, err)
		for i := range questions {
			if questions[i].Pod.UID == "" {
				t.Fatal("a question is about nobody")
			}
		}
	})
}

// FuzzDelete asks that pods be deleted.
func FuzzDelete(f *testing.F) {
	seeds(f, `{"name":"p","UID":"u","namespace":"n"}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		requests, err := (&handler{}).deletionsOf(body)
		answers(t, err)
		if (err == nil) != (len(requests) > 0) {
			t.Fatalf("%d requests, %v", len(requests), err)
		}
		for i := range requests {
			if requests[i].Pod.UID == "" {
				t.Fatal("a deletion is of nobody")
			}
		}
	})
}

// FuzzQuantity makes sure that what is passed on can be computed with at once.
func FuzzQuantity(f *testing.F) {
	for _, text := range []string{"1", "500m", "1e3", "1E", "1Ei", "1e-30", "1e30", "1e-31", "+.5Gi", " 1 ", "9223372036854775807", "1e", "1e+"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range [][]byte{quoted, []byte(text)} {
			body := append(append([]byte(`{"pod":{"spec":{"overhead":{"cpu":`), raw...), `}}}}`...)
			if strictjson.Check(body, new(createItem)) != nil {
				continue
			}
			var item createItem
			if err := json.Unmarshal(body, &item); err != nil {
				t.Fatalf("%s passes: %v", raw, err)
			}
			cpu := item.Pod.Spec.Overhead[corev1.ResourceCPU]
			cpu.Add(cpu)
			_, _, _ = cpu.MilliValue(), cpu.String(), cpu.Cmp(*cpu.ToDec())
		}
	})
}
