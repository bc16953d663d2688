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
	"net/http"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

// inSpec is the body of a /create whose pod has this in its spec.
func inSpec(spec string) string {
	return `{"pod":{"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":{` + spec + `}}}`
}

// beside is the body of a /create whose pod is good and comes with this.
func beside(more string) string {
	return strings.TrimSuffix(inSpec(`"containers":[{"name":"c","image":"i"}]`), "}") + `,` + more + `}`
}

// limits is the body of a /create whose container is to have so much of the CPU.
func limits(cpu string) string {
	return inSpec(`"containers":[{"name":"c","image":"i"},{"name":"d","image":"i","resources":{"limits":{"cpu":` + cpu + `}}}]`)
}

const cpuField = "pod.spec.containers[1].resources.limits[cpu] must be a quantity"

// TestWhatIsWrongIsRefusedInASentenceThatNamesTheField sends what no interLink sends. None of it reaches the ledger.
func TestWhatIsWrongIsRefusedInASentenceThatNamesTheField(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	deep := strings.Repeat(`[`, 20000)
	for _, tt := range []struct{ name, path, body, words string }{
		{"nothing", "/create", ``, "the body is empty"},
		{"space", "/create", " \r\n\t", "the body is empty"},
		{"a null", "/create", `null`, "pod is missing"},
		{"a number", "/create", `7`, "the body must be an object"},
		{"a string", "/create", `"pod"`, "the body must be an object"},
		{"an empty object", "/create", `{}`, "pod is missing"},
		{"an empty list", "/create", `[]`, "the list of pods is empty"},
		{"a list with a null", "/create", `[null]`, "[0].pod is missing"},
		{"a list of lists", "/create", `[[]]`, "[0] must be an object"},
		{"a pod that is null", "/create", `{"pod":null}`, "pod is missing"},
		{"an empty pod", "/create", `{"pod":{}}`, "metadata.uid"},
		{"a pod that is a list", "/create", `{"pod":[]}`, "pod must be an object"},
		{"metadata that is null", "/create", `{"pod":{"metadata":null,"spec":{}}}`, "metadata.uid"},
		{"metadata that is text", "/create", `{"pod":{"metadata":"x"}}`, "pod.metadata must be an object"},
		{"a name that is a number", "/create", `{"pod":{"metadata":{"name":1}}}`, "pod.metadata.name must be a string"},
		{"a UID that is a list", "/create", `{"pod":{"metadata":{"uid":["u"]}}}`, "pod.metadata.uid must be a string"},
		{"a label that is a number", "/create", `{"pod":{"metadata":{"labels":{"l":1}}}}`, "pod.metadata.labels[l] must be a string"},
		{"no name", "/create", `{"pod":{"metadata":{"uid":"u","namespace":"n"},"spec":{}}}`, "metadata.name"},
		{"no namespace", "/create", `{"pod":{"metadata":{"uid":"u","name":"p"},"spec":{}}}`, "metadata.namespace"},
		{"a name that is none", "/create", `{"pod":{"metadata":{"uid":"u","name":"../p","namespace":"n"},"spec":{}}}`, "metadata.name"},
		{"a name of broken text", "/create", "{\"pod\":{\"metadata\":{\"uid\":\"u\",\"name\":\"p\xff\",\"namespace\":\"n\"},\"spec\":{}}}", "metadata.name"},
		{"a UID without end", "/create", `{"pod":{"metadata":{"uid":"` + strings.Repeat("u", 300) + `","name":"p","namespace":"n"},"spec":{}}}`, "metadata.uid"},
		{"no spec", "/create", `{"pod":{"metadata":{"name":"p","namespace":"n","uid":"u"}}}`, "spec.containers"},
		{"a spec that is null", "/create", `{"pod":{"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":null}}`, "spec.containers"},
		{"a spec that is a list", "/create", `{"pod":{"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":[]}}`, "pod.spec must be an object"},
		{"no containers", "/create", inSpec(`"containers":[]`), "spec.containers"},
		{"containers that are null", "/create", inSpec(`"containers":null`), "spec.containers"},
		{"containers that are an object", "/create", inSpec(`"containers":{}`), "pod.spec.containers must be a list"},
		{"a container that is null", "/create", inSpec(`"containers":[null]`), "spec.containers[0]"},
		{"an image that is a number", "/create", inSpec(`"containers":[{"name":"c","image":"i"},{"image":5}]`), "pod.spec.containers[1].image must be a string"},
		{"a command that is text", "/create", inSpec(`"containers":[{"command":"sh"}]`), "pod.spec.containers[0].command must be a list"},
		{"an argument that is a number", "/create", inSpec(`"containers":[{"args":["a",2]}]`), "pod.spec.containers[0].args[1] must be a string"},
		{"a flag that is a number", "/create", inSpec(`"hostNetwork":1`), "pod.spec.hostNetwork must be true or false"},
		{"a number that is text", "/create", inSpec(`"terminationGracePeriodSeconds":"1"`), "pod.spec.terminationGracePeriodSeconds must be a whole number"},
		{"a number with a fraction", "/create", inSpec(`"terminationGracePeriodSeconds":1.5`), "pod.spec.terminationGracePeriodSeconds must be a whole number"},
		{"a number that is too large", "/create", inSpec(`"activeDeadlineSeconds":9223372036854775808`), "pod.spec.activeDeadlineSeconds must be a whole number"},
		{"a number beyond all bounds", "/create", inSpec(`"priority":1e999999999`), "pod.spec.priority must be a whole number"},
		{"a port that is too large", "/create", inSpec(`"containers":[{"ports":[{"containerPort":4294967296}]}]`), "pod.spec.containers[0].ports[0].containerPort must be a whole number"},
		{"a field that nobody knows", "/create", inSpec(`"containers":[{"name":"c","brandNew":{"a":1}}]`), "pod.spec.containers[0].brandNew"},
		{"a field without end", "/create", inSpec(`"` + strings.Repeat("x", 5000) + `":1`), "pod.spec.xxx"},
		{"a quantity that is none", "/create", limits(`"much"`), cpuField},
		{"a quantity that is a list", "/create", limits(`[]`), cpuField},
		{"a quantity that is empty", "/create", limits(`""`), cpuField},
		{"a quantity that takes hours", "/create", limits(`"1e-2000000000"`), cpuField},
		{"a number that takes hours", "/create", limits(`1e-2000000000`), cpuField},
		{"a quantity that would not fit into memory", "/create", limits(`"1E2000000000"`), cpuField},
		{"one with space around", "/create", limits(`" 1e-2000000000 "`), cpuField},
		{"one with other space around", "/create", limits("\"1e-2000000000\u00a0\""), cpuField},
		{"one in escapes", "/create", limits(`"1\u0065-2000000000"`), cpuField},
		{"one that comes first of two", "/create", limits(`"1e-2000000000","cpu":"1"`), cpuField},
		{"one under a key in capitals", "/create", inSpec(`"volumes":[{"name":"v","EMPTYDIR":{"SizeLimit":"1e-2000000000"}}]`), "pod.spec.volumes[0].emptyDir.sizeLimit must be a quantity"},
		{"a quantity of many digits", "/create", limits(`"` + strings.Repeat("9", 100) + `"`), cpuField},
		{"containers of interLink's that are an object", "/create", beside(`"container":{}`), "container must be a list"},
		{"a ConfigMap that is text", "/create", beside(`"container":[{"configMaps":["x"]}]`), "container[0].configMaps[0] must be an object"},
		{"a file that is a number", "/create", beside(`"configmaps":[{"metadata":{"name":"c"},"data":{"f":1}}]`), "configmaps[0].data[f] must be a string"},
		{"a secret that is not base64", "/create", beside(`"secrets":[{"metadata":{"name":"s"},"data":{"f":"hunter2!"}}]`), "secrets[0].data[f] must be a base64 string"},
		{"a script that is a list", "/create", beside(`"jobScript":[]`), "jobScript must be a string"},
		{"a script that would have to be asked for", "/create", beside(`"jobscriptURL":"http://builder"`), "jobscriptURL"},
		{"half of an object", "/create", `{"pod":{"metadata":`, "not valid JSON at byte 19"},
		{"text after the JSON", "/create", `{"pod":{}} {"pod":{}}`, "not valid JSON at byte 11"},
		{"a comma too many", "/create", `{"pod":{},}`, "not valid JSON"},
		{"a key without quotes", "/create", `{pod:{}}`, "not valid JSON at byte 1"},
		{"brackets without end", "/create", `{"pod":{"spec":` + deep, "not valid JSON"},
		{"brackets without end in what is passed over", "/create", `{"jobConfig":` + deep, "not valid JSON"},
		{"zeros", "/create", strings.Repeat("\x00", 100), "not valid JSON at byte 0"},

		{"half of a list", "/status", `[{`, "not valid JSON at byte 2"},
		{"a null", "/status", `null`, "the body must be a pod or a list of pods"},
		{"text", "/status", `"u"`, "the body must be a pod or a list of pods"},
		{"a list of text", "/status", `["u"]`, "the body must be a pod or a list of pods"},
		{"a list with a null", "/status", `[null]`, "the body must be a pod or a list of pods"},
		{"an empty pod", "/status", `{}`, "metadata.uid"},
		{"a UID that is a number", "/status", `[{"metadata":{"uid":12}}]`, "metadata.uid must be a string"},
		{"a UID of a PodStatus that is a number", "/status", `{"UID":12}`, "UID must be a string"},
		{"metadata that is a list", "/status", `[{"metadata":[]}]`, "metadata must be an object"},
		{"annotations that are a list", "/status", `[{"metadata":{"annotations":[]}}]`, "metadata.annotations must be an object"},
		{"a job's id that is a number", "/status", `[{"metadata":{"annotations":{"JobID":1}}}]`, "metadata.annotations[JobID] must be a string"},
		{"a spec that is text", "/status", `[{"spec":"x"}]`, "spec must be an object"},
		{"containers that are an object", "/status", `[{"spec":{"containers":{}}}]`, "spec.containers must be a list"},
		{"a container that is a number", "/status", `[{"spec":{"containers":[1]}}]`, "spec.containers must be an object"},
		{"a container's name that is a number", "/status", `[{"spec":{"initContainers":[{"name":1}]}}]`, "spec.initContainers.name must be a string"},
		{"a number that is none", "/status", `[{"metadata":{"generation":01}}]`, "not valid JSON"},
		{"brackets without end", "/status", deep, "not valid JSON"},
		{"braces without end", "/status", `[{"status":` + strings.Repeat(`{"a":`, 20000), "not valid JSON"},
		{"a query without a UID", "/status?name=p", ``, "pod_uid"},
		{"a query with an empty UID", "/status?pod_uid=", ``, "pod_uid"},
		{"a query with an empty UID in its list", "/status?pod_uids=a,,b", ``, "pod_uid"},

		{"nothing", "/delete", ``, "not valid JSON"},
		{"a null", "/delete", `null`, "the body must be a pod or a list of pods"},
		{"an empty object", "/delete", `{}`, "metadata.uid"},
		{"an empty list", "/delete", `[]`, "the list of pods is empty"},
		{"no JSON", "/delete", `nope`, "not valid JSON at byte 0"},
		{"a UID that is an object", "/delete", `{"UID":{}}`, "UID must be a string"},
		{"no name", "/delete", `{"metadata":{"uid":"unknown"}}`, "unknown"},

		{"an empty object", "/getLogs", `{}`, "PodUID"},
		{"nothing", "/getLogs", ``, "PodUID"},
		{"a null", "/getLogs", `null`, "PodUID"},
		{"a list", "/getLogs", `[]`, "the body must be an object"},
		{"half of a string", "/getLogs", `"`, "not valid JSON"},
		{"a UID that is a number", "/getLogs", `{"PodUID":5}`, "PodUID must be a string"},
		{"a UID that is an object", "/getLogs", `{"PodUID":{}}`, "PodUID must be a string"},
		{"options that are text", "/getLogs", `{"PodUID":"u","Opts":"x"}`, "Opts must be an object"},
		{"a tail that is negative", "/getLogs", `{"PodUID":"u","Opts":{"Tail":-1}}`, "Tail must be a whole number from 0"},
		{"a tail with a fraction", "/getLogs", `{"PodUID":"u","Opts":{"Tail":1.5}}`, "Tail must be a whole number"},
		{"a tail that is text", "/getLogs", `{"PodUID":"u","Opts":{"Tail":"all"}}`, "Tail must be a whole number"},
		{"a tail that is a list", "/getLogs", `{"PodUID":"u","Opts":{"Tail":[1]}}`, "Tail must be"},
		{"a tail that is true", "/getLogs", `{"PodUID":"u","Opts":{"Tail":true}}`, "Tail must be a whole number"},
		{"a number beyond all bounds", "/getLogs", `{"PodUID":"u","Opts":{"LimitBytes":99999999999999999999}}`, "LimitBytes must be a whole number"},
		{"seconds beyond all bounds", "/getLogs", `{"PodUID":"u","Opts":{"SinceSeconds":1e400}}`, "SinceSeconds must be a whole number"},
		{"a flag that is none", "/getLogs", `{"PodUID":"u","Opts":{"Follow":"maybe"}}`, "Follow must be true or false"},
		{"a flag that is a number", "/getLogs", `{"PodUID":"u","Opts":{"Timestamps":7}}`, "Timestamps must be true or false"},
		{"a time that is none", "/getLogs", `{"PodUID":"u","Opts":{"SinceTime":"yesterday"}}`, "SinceTime must be a time"},
		{"a time that is a number", "/getLogs", `{"PodUID":"u","Opts":{"SinceTime":1764000000}}`, "SinceTime must be a time"},
		{"a query with a tail that is none", "/getLogs?PodUID=u&Tail=x", ``, "Tail must be a whole number"},
		{"a query with a flag that is none", "/getLogs?PodUID=u&Follow=x", ``, "Follow must be true or false"},
		{"a query without a UID", "/getLogs?PodName=p", ``, "PodUID"},
	} {
		t.Run(strings.TrimPrefix(tt.path, "/")+" of "+tt.name, func(t *testing.T) {
			of := *e
			of.t = t
			got := of.call(http.MethodPost, tt.path, tt.body)
			of.wantRefusal(got, tt.words)
			if len(got.text) > 400 {
				t.Errorf("the sentence has %d bytes", len(got.text))
			}
		})
	}
	if jobs := e.jobs(); len(jobs) > 0 {
		t.Errorf("%d RemoteJobs are recorded", len(jobs))
	}
	for _, line := range e.log.all() {
		if strings.Contains(line, "hunter2") {
			t.Errorf("a secret is in the log: %s", line)
		}
	}
}

func TestASecretThatIsMalformedIsNotQuoted(t *testing.T) {
	e := serve(t, pluginapi.Options{}, "")
	const secret = "hunter2!"
	for _, body := range []string{
		beside(`"secrets":[{"metadata":{"name":"s"},"data":{"f":"` + secret + `"}}]`),
		inSpec(`"containers":[{"env":[{"name":"E","value":["` + secret + `"]}]}]`),
		inSpec(`"containers":[{"env":[{"name":"E","value":"` + secret + `"}],"resources":{"limits":{"cpu":"` + secret + `"}}}]`),
		inSpec(`"containers":[{"env":"` + secret + `"}]`),
		inSpec(`"containers":[{"env":[{"name":"E","value":"` + secret),
		inSpec(`"containers":[{"env":[{"name":"E","value":"` + secret + `\x"}]}]`),
	} {
		got := e.call(http.MethodPost, "/create", body)
		e.wantRefusal(got)
		if strings.Contains(got.text, secret) || strings.Contains(strings.Join(e.log.all(), "\n"), secret) {
			t.Errorf("the answer to %s quotes the secret: %s", body, got.text)
		}
	}
}

func TestAWrongMethodAndAWrongPathAreToldWhatThereIs(t *testing.T) {
	e := serve(t, pluginapi.Options{}, "")
	for path, allow := range map[string]string{
		"/create": "POST", "/delete": "POST", "/status": "GET, POST", "/getLogs": "GET, POST",
		"/health": "GET, HEAD", "/healthz": "GET, HEAD", "/readyz": "GET, HEAD", "/openapi.json": "GET, HEAD", "/system-info": "GET, HEAD",
	} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodGet, http.MethodPost, "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			got := e.call(method, path, `{"pod":{}}`)
			if got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") != allow || !strings.Contains(got.text, path) {
				t.Errorf("%s %s: %d, Allow %q: %s", method, path, got.code, got.header.Get("Allow"), got.text)
			}
		}
	}
	for _, path := range []string{"/", "/nowhere", "/create/", "/Create", "/create/x", "/..", "/status%2f"} {
		if got := e.call(http.MethodGet, path, ""); got.code != http.StatusNotFound || !strings.Contains(got.text, "/openapi.json") {
			t.Errorf("%s: %d %s", path, got.code, got.text)
		}
	}
}
