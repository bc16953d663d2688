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

package pluginapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

type created struct{ PodUID, PodJID string }

// pod is a pod as JSON, with more of its spec.
func (e *endpoint) pod(name, spec string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"uid":%q},"spec":{"containers":[{"name":"c","image":"busybox:1.36"}]%s}}`, name, e.namespace, "uid-"+name, spec)
}

// mount is the rest of a spec that mounts a ConfigMap, a Secret and a projected volume.
const mount = `,"initContainers":[{"name":"i","image":"i","volumeMounts":[{"name":"a","mountPath":"/a"},{"name":"b","mountPath":"/b"},{"name":"proj","mountPath":"/p"}]}],"volumes":[{"name":"a","configMap":{"name":"cfg"}},{"name":"b","secret":{"secretName":"sec"}},
 {"name":"proj","projected":{"sources":[{"configMap":{"name":"cfg"}}]}}]`

const (
	cfg  = `{"metadata":{"name":"cfg"},"data":{"text":"t"},"binaryData":{"bytes":"AP8="}}`
	sec  = `{"metadata":{"name":"sec"},"data":{"key":"c2VjcmV0"},"stringData":{"plain":"p"}}`
	proj = `{"metadata":{"name":"proj"},"data":{"dir/file":"f"}}`
)

// TestCreateTakesEveryForm sends all forms of /create to a real ledger and looks at what it keeps.
func TestCreateTakesEveryForm(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	files := map[string]string{"cfg/text": "t", "cfg/bytes": "\x00\xff", "sec/key": "secret", "sec/plain": "p", "proj/dir/file": "f"}
	for _, tt := range []struct {
		name, pod string
		body      func(pod string) string
		list      bool
		files     map[string]string
		script    string
	}{
		{name: "interlinks-object", body: func(pod string) string {
			return `{"pod":` + pod + `,"container":[{"name":"c","configMaps":null,"projectedvolumemaps":null,"secrets":null,"emptyDirs":null}],"jobConfig":{"Volumes":{}}}`
		}},
		{name: "interlinks-object-with-files", pod: mount, files: files, body: func(pod string) string {
			return `{"pod":` + pod + `,"container":[{"name":"c","configMaps":[` + cfg + `,` + cfg + `],"projectedvolumemaps":[` + proj + `],"secrets":[` + sec + `]}]}`
		}},
		{name: "files-of-several-containers", pod: mount, files: files, body: func(pod string) string {
			return `{"pod":` + pod + `,"container":[{"configMaps":[` + cfg + `]},{"secrets":[` + sec + `]},{"projectedvolumemaps":[` + proj + `]}]}`
		}},
		{name: "a-job-script", script: "#!/bin/sh\n", body: func(pod string) string { return `{"pod":` + pod + `,"jobScript":"#!/bin/sh\n"}` }},
		{name: "a-list-of-interlinks-objects", list: true, body: func(pod string) string { return `[{"pod":` + pod + `,"container":[]}]` }},
		{name: "the-guides-list", list: true, body: func(pod string) string {
			return `[{"pod":` + pod + `,"configmaps":[],"secrets":[],"projectedvolumesmaps":[],"jobscriptURL":""}]`
		}},
		{name: "the-guides-list-with-files", list: true, pod: mount, files: files, body: func(pod string) string {
			return `[{"pod":` + pod + `,"configmaps":[` + cfg + `],"secrets":[` + sec + `],"projectedvolumesmaps":[` + proj + `]}]`
		}},
		{name: "the-guides-object", pod: mount, files: files, body: func(pod string) string {
			return `{"pod":` + pod + `,"configmaps":[` + cfg + `],"secrets":[` + sec + `],"projectedvolumesmaps":[` + proj + `]}`
		}},
		{name: "snake-case", pod: mount, files: files, script: "x", body: func(pod string) string {
			return `{"pod":` + pod + `,"job_script":"x","container":[{"config_maps":[` + strings.Replace(cfg, "binaryData", "binary_data", 1) +
				`],"projected_volume_maps":[` + proj + `],"secrets":[` + strings.Replace(sec, "stringData", "string_data", 1) + `]}]}`
		}},
		{name: "nulls-for-all-that-may-be-left-out", body: func(pod string) string {
			return `{"pod":` + strings.Replace(pod, `"uid":`, `"labels":null,"annotations":null,"uid":`, 1) + `,"container":null,"jobScript":null,"configmaps":null,"secrets":null,"projectedvolumesmaps":null,"jobConfig":null}`
		}},
		{name: "space-around", body: func(pod string) string { return "\r\n\t {\"pod\": " + pod + "} \n" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := e.call(http.MethodPost, "/create", tt.body(e.pod(tt.name, tt.pod)))
			if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", got.code, got.text)
			}
			var answers []created
			if tt.list {
				decodeInto(t, got.text, &answers)
			} else {
				answers = make([]created, 1)
				decodeInto(t, got.text, &answers[0])
			}
			if len(answers) != 1 || answers[0].PodUID != "uid-"+tt.name || answers[0].PodJID == "" {
				t.Fatalf("the answer is %s", got.text)
			}
			job := e.job(tt.name)
			payload, err := e.ledger.Payload(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if payload.JobScript != tt.script {
				t.Errorf("the script is %q, want %q", payload.JobScript, tt.script)
			}
			kept := map[string]string{}
			for _, objects := range []map[string]map[string][]byte{filesOf(payload.ConfigMaps), filesOf(payload.Secrets), filesOf(payload.Projected)} {
				for object, files := range objects {
					for file, content := range files {
						kept[object+"/"+file] = string(content)
					}
				}
			}
			if len(kept) != len(tt.files) {
				t.Errorf("the ledger keeps %q, want %q", kept, tt.files)
			}
			for file, content := range tt.files {
				if kept[file] != content {
					t.Errorf("%s is %q, want %q", file, kept[file], content)
				}
			}
		})
	}
}

// filesOf drops the name of the type of files.
func filesOf[F ~map[string][]byte](objects map[string]F) map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	for name, files := range objects {
		out[name] = files
	}
	return out
}

func decodeInto(t *testing.T, text string, out any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// job is the RemoteJob of a pod by the pod's name.
func (e *endpoint) job(pod string) *v1alpha1.RemoteJob {
	e.t.Helper()
	jobs := e.jobs()
	for i := range jobs {
		if ref := jobs[i].Spec.PodRef; ref != nil && ref.Name == pod {
			return &jobs[i]
		}
	}
	e.t.Fatalf("there is no RemoteJob for the pod %s", pod)
	return nil
}

func TestTheRecordedPodsAreTakenWithAllThatCameWithThem(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	for _, pod := range []string{"simple", "rich"} {
		got := e.call(http.MethodPost, "/create", e.recorded("create-"+pod))
		if got.code != http.StatusOK {
			t.Fatalf("%s: %d %s", pod, got.code, got.text)
		}
	}
	payload, err := e.ledger.Payload(t.Context(), e.job("rich"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct {
		got  []byte
		want string
	}{
		{payload.ConfigMaps["app-config"]["greeting"], "hello"},
		{payload.ConfigMaps["app-config"]["settings.ini"], "mode=fast\nthreads=4\n"},
		{payload.Secrets["app-secret"]["token"], "tok-123"},
		{payload.Secrets["app-secret"]["password"], "s3cr3t with spaces & 'quotes'"},
		{payload.Projected["downward"]["labels"], "app=\"rich\"\n"},
		{payload.Projected["proj"]["settings.ini"], "mode=fast\nthreads=4\n"},
	} {
		if string(file.got) != file.want {
			t.Errorf("a file is %q, want %q", file.got, file.want)
		}
	}
}

func TestTheSameCreateTwiceIsAnsweredAlike(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	body := `{"pod":` + e.pod("twice", "") + `}`
	first, second := e.call(http.MethodPost, "/create", body), e.call(http.MethodPost, "/create", `[`+body+`]`)
	if first.code != http.StatusOK || "["+first.text+"]" != second.text || len(e.jobs()) != 1 {
		t.Errorf("%d %s, then %d %s, and %d RemoteJobs", first.code, first.text, second.code, second.text, len(e.jobs()))
	}
}

func TestAListIsCheckedWholeBeforeAnyPodOfItIsRecorded(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	good := `{"pod":` + e.pod("good", "") + `}`
	for name, tt := range map[string]struct{ bad, words string }{
		"a pod that is none":                   {`{"pod":{}}`, "metadata.uid"},
		"a null":                               {`null`, "[1].pod"},
		"a field of the wrong type":            {`{"pod":{"metadata":{"name":7}}}`, "[1].pod.metadata.name"},
		"a policy":                             {`{"pod":` + e.pod("bad", `,"hostNetwork":true`) + `}`, "hostNetwork"},
		"something that did not come with it":  {`{"pod":` + e.pod("bad", mount) + `}`, "cfg"},
		"a field that nobody knows":            {`{"pod":` + e.pod("bad", `,"brandNew":true`) + `}`, "[1].pod.spec.brandNew"},
		"a script that would have to be asked": {`{"pod":` + e.pod("bad", "") + `,"jobscriptURL":"http://x"}`, "[1].jobscriptURL"},
	} {
		e.wantRefusal(e.call(http.MethodPost, "/create", `[`+good+`,`+tt.bad+`]`), tt.words)
		if jobs := e.jobs(); len(jobs) != 0 {
			t.Fatalf("%s: the list was refused, and %s is recorded", name, jobs[0].Name)
		}
	}
	if got := e.call(http.MethodPost, "/create", `[`+good+`,{"pod":`+e.pod("better", "")+`}]`); got.code != http.StatusOK || len(e.jobs()) != 2 {
		t.Errorf("two good pods: %d %s, and %d RemoteJobs", got.code, got.text, len(e.jobs()))
	}
}
