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
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

type podStatus struct {
	Name           string                   `json:"name"`
	UID            string                   `json:"UID"`
	Namespace      string                   `json:"namespace"`
	JID            string                   `json:"JID"`
	Containers     []corev1.ContainerStatus `json:"containers"`
	InitContainers []corev1.ContainerStatus `json:"initContainers"`
}

// taken sends pods and waits until the ledger's cache holds them.
func (e *endpoint) taken(names ...string) {
	e.t.Helper()
	for _, name := range names {
		if got := e.call(http.MethodPost, "/create", `{"pod":`+e.pod(name, "")+`}`); got.code != http.StatusOK {
			e.t.Fatalf("/create of %s: %d %s", name, got.code, got.text)
		}
		e.eventually("the cache holds "+name, func() bool {
			_, err := e.ledger.Find(v1alpha1.PodReference{Namespace: e.namespace, Name: name, UID: types.UID("uid-" + name)})
			return err == nil
		})
	}
}

// statuses decodes the answer to a /status.
func (e *endpoint) statuses(got reply) []podStatus {
	e.t.Helper()
	if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		e.t.Fatalf("/status: %d %s", got.code, got.text)
	}
	var list []podStatus
	if err := json.Unmarshal([]byte(got.text), &list); err != nil {
		e.t.Fatalf("/status: %v: %s", err, got.text)
	}
	return list
}

// TestStatusTakesEveryForm asks about pods in all forms and looks at whom the answer is about.
func TestStatusTakesEveryForm(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	e.taken("a", "b")
	both := []string{"a", "b"}
	inNamespace := func(s string) string { return strings.ReplaceAll(s, "NS", e.namespace) }
	for name, tt := range map[string]struct {
		query, body string
		want        []string
	}{
		"a list of one pod":               {body: `[` + e.pod("a", "") + `]`, want: []string{"a"}},
		"a list of pods, in their order":  {body: `[` + e.pod("b", "") + `,` + e.pod("a", "") + `]`, want: []string{"b", "a"}},
		"one pod":                         {body: e.pod("b", ""), want: []string{"b"}},
		"the same pod twice":              {body: `[` + e.pod("b", "") + `,` + e.pod("b", "") + `]`, want: []string{"b", "b"}},
		"a pod that is not known":         {body: `[` + e.pod("c", "") + `]`},
		"one known and one not":           {body: `[` + e.pod("c", "") + `,` + e.pod("a", "") + `]`, want: []string{"a"}},
		"a PodStatus":                     {body: `{"name":"a","UID":"uid-a","namespace":"NS","JID":"j","containers":[],"initContainers":null}`, want: []string{"a"}},
		"a list of PodStatus":             {body: `[{"name":"a","UID":"uid-a","namespace":"NS"}]`, want: []string{"a"}},
		"the SDK's snake_case":            {body: `[{"pod_name":"a","pod_uid":"uid-a","pod_namespace":"NS","pod_jid":"j"}]`, want: []string{"a"}},
		"names as CreateStruct has them":  {body: `[{"PodUID":"uid-b","PodJID":"j"}]`, want: []string{"b"}},
		"a UID alone":                     {body: `{"uid":"uid-b"}`, want: []string{"b"}},
		"escapes in a name":               {body: `[{"metadata":{"n\u0061me":"\u0061","uid":"uid-\u0061","namespace":"NS"}}]`, want: []string{"a"}},
		"nulls":                           {body: `[{"metadata":{"name":null,"uid":"uid-a","namespace":null,"annotations":null},"spec":null,"status":null}]`, want: []string{"a"}},
		"a query":                         {query: "?pod_uid=uid-a", want: []string{"a"}},
		"a query as in Go":                {query: "?PodUID=uid-b", want: []string{"b"}},
		"a query of several":              {query: "?pod_uid=uid-b&pod_uid=uid-a", want: []string{"b", "a"}},
		"a query with commas":             {query: "?pod_uids=uid-a,uid-b", want: both},
		"a query of PHP's kind":           {query: "?pod_uids[]=uid-a&pod_uids[]=uid-b", want: both},
		"a query that repeats itself":     {query: "?uid=uid-a&uid=uid-a", want: []string{"a"}},
		"a query with name and namespace": {query: "?pod_uid=uid-a&pod_name=a&namespace=NS", want: []string{"a"}},
		"a query with another name":       {query: "?pod_uid=uid-a&name=b"},
		"a query about nobody":            {query: "?pod_uid=uid-c"},
		"a body and a query":              {query: "?pod_uid=uid-a", body: `[` + e.pod("b", "") + `]`, want: []string{"b"}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			list := e.statuses(e.call(method, "/status"+inNamespace(tt.query), inNamespace(tt.body)))
			var names []string
			for _, s := range list {
				names = append(names, s.Name)
				if s.UID != "uid-"+s.Name || s.Namespace != e.namespace || s.JID == "" || len(s.Containers) != 1 || s.InitContainers == nil {
					t.Errorf("%s of %s: the answer %+v is not whole", method, name, s)
				}
			}
			if strings.Join(names, " ") != strings.Join(tt.want, " ") {
				t.Errorf("%s of %s: the answer is about %q, want %q", method, name, names, tt.want)
			}
		}
	}
}

func TestTheRecordedStatusIsAboutItsPod(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	if got := e.call(http.MethodPost, "/create", e.recorded("create-simple")); got.code != http.StatusOK {
		t.Fatalf("/create: %d %s", got.code, got.text)
	}
	var list []podStatus
	e.eventually("the pod is known", func() bool {
		list = e.statuses(e.call(http.MethodGet, "/status", e.recorded("status")))
		return len(list) == 1 && list[0].Containers[0].State.Terminated == nil
	})
	if got := list[0]; got.Name != "simple" || got.UID != "e45dbadd-0f41-4f30-9c73-e798cb22e8b4" || got.Containers[0].Name != "c" || got.Containers[0].State.Waiting == nil {
		t.Errorf("the answer is %+v", got)
	}
}

func TestAPodWithAJobIDThatNobodyKnowsIsLostWithTheContainersThatWereOffloaded(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	body := `[{"metadata":{"name":"p","namespace":"` + e.namespace + `","uid":"u","annotations":{"JobID":"job-7",
		"interlink.eu/disable-offload-containers":"kept, too","interlink.eu/disable-offload-init-containers":"[\"prepare\"]"}},
		"spec":{"initContainers":[{"name":"prepare"},{"name":"init"}],"containers":[{"name":"main"},{"name":"kept"},{"name":"side"},{"name":"too"}]}}]`
	list := e.statuses(e.call(http.MethodGet, "/status", body))
	if len(list) != 1 || list[0].Name != "p" || list[0].JID != "job-7" {
		t.Fatalf("the answer is %+v", list)
	}
	var names []string
	for _, c := range append(list[0].InitContainers, list[0].Containers...) {
		names = append(names, c.Name)
		if end := c.State.Terminated; end == nil || end.ExitCode == 0 || !strings.Contains(end.Message, "job-7") {
			t.Errorf("%s is %+v", c.Name, c.State)
		}
	}
	if got := strings.Join(names, " "); got != "init main side" {
		t.Errorf("the containers are %q", got)
	}
}

// TestDeleteTakesEveryForm deletes pods in all forms and looks at which RemoteJobs are cancelled.
func TestDeleteTakesEveryForm(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	for name, body := range map[string]func(pod string) string{
		"whole":     func(pod string) string { return e.pod(pod, "") },
		"in-a-list": func(pod string) string { return `[` + e.pod(pod, "") + `]` },
		"as-podstatus": func(pod string) string {
			return `{"name":"` + pod + `","UID":"uid-` + pod + `","namespace":"` + e.namespace + `","JID":"","containers":null,"initContainers":[]}`
		},
		"in-snake-case": func(pod string) string {
			return `{"pod_name":"` + pod + `","pod_uid":"uid-` + pod + `","pod_namespace":"` + e.namespace + `"}`
		},
		"by-uid-alone": func(pod string) string { return `{"UID":"uid-` + pod + `"}` },
	} {
		e.taken(name)
		for range 2 {
			got := e.call(http.MethodPost, "/delete", body(name))
			if got.code != http.StatusOK || got.text == "" || strings.Contains(got.text, "\n") {
				t.Errorf("%s: %d %q", name, got.code, got.text)
			}
		}
		if !e.job(name).Spec.Cancel {
			t.Errorf("%s: its RemoteJob is not cancelled", name)
		}
	}
	// What never arrived is kept all the same; the recorded pod is such a one.
	for body, pod := range map[string]string{e.recorded("delete"): "rich", e.pod("early", ""): "early"} {
		if got := e.call(http.MethodPost, "/delete", body); got.code != http.StatusOK {
			t.Errorf("%s: %d %q", pod, got.code, got.text)
		}
		if job := e.job(pod); !job.Spec.Cancel {
			t.Errorf("%s: the deletion is not kept: %+v", pod, job.Spec)
		}
	}
	if got := e.call(http.MethodPost, "/create", `{"pod":`+e.pod("early", "")+`}`); got.code != http.StatusConflict {
		t.Errorf("a /create after its /delete: %d %s", got.code, got.text)
	}
}

// TestADeleteIsKeptWhateverThePodSaysOfItsBackend: interLink sends none of them again.
func TestADeleteIsKeptWhateverThePodSaysOfItsBackend(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	for name, backend := range map[string]string{"unknown": "elsewhere", "malformed": "No Name!", "long": strings.Repeat("x", 300)} {
		pod := strings.Replace(e.pod(name, ""), `"uid":`, `"annotations":{"`+v1alpha1.AnnotationBackend+`":"`+backend+`"},"uid":`, 1)
		if got := e.call(http.MethodPost, "/delete", pod); got.code != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.code, got.text)
			continue
		}
		if !e.job(name).Spec.Cancel {
			t.Errorf("%s: the deletion is not kept", name)
		}
	}
}

func TestAListOfDeletionsIsCheckedWholeAndThenAllAreDone(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	e.taken("one", "two")
	e.wantRefusal(e.call(http.MethodPost, "/delete", `[`+e.pod("one", "")+`,{"metadata":{}}]`), "metadata.uid")
	if e.job("one").Spec.Cancel {
		t.Error("the list was refused, and a pod of it is cancelled")
	}
	if got := e.call(http.MethodPost, "/delete", `[`+e.pod("one", "")+`,`+e.pod("two", "")+`]`); got.code != http.StatusOK {
		t.Fatalf("%d %s", got.code, got.text)
	}
	if !e.job("one").Spec.Cancel || !e.job("two").Spec.Cancel {
		t.Error("a pod of the list is not cancelled")
	}
}

// submitted notes a backend's id for the job of a pod.
func (e *endpoint) submitted(pod, id string) {
	e.t.Helper()
	job := e.job(pod)
	before := job.DeepCopy()
	job.Status.JobID, job.Status.Phase = id, v1alpha1.PhaseRunning
	if err := e.client.Status().Patch(e.t.Context(), job, client.MergeFrom(before)); err != nil {
		e.t.Fatal(err)
	}
	e.eventually("the ledger knows of "+id, func() bool {
		found, err := e.ledger.Find(*job.Spec.PodRef)
		return err == nil && found.Status.JobID == id
	})
}

func TestTheGuidesLocalTestWorksAsPrinted(t *testing.T) {
	e := withLedger(t, pluginapi.Options{})
	body := strings.ReplaceAll(`[{
    "pod": {
        "metadata": {"name": "test-pod", "uid": "test-uid", "namespace": "default"},
        "spec": {
            "containers": [{
                "name": "test-container",
                "image": "nginx:latest",
                "command": ["nginx"],
                "args": ["-g", "daemon off;"]
            }]
        }
    },
    "configmaps": [],
    "secrets": [],
    "projectedvolumesmaps": []
}]`, `"default"`, `"`+e.namespace+`"`)
	got := e.call(http.MethodPost, "/create", body, "Accept", "*/*")
	var answers []created
	if decodeInto(t, got.text, &answers); got.code != http.StatusOK || len(answers) != 1 || answers[0].PodUID != "test-uid" {
		t.Fatalf("/create: %d %s", got.code, got.text)
	}
	e.eventually("/status knows the pod", func() bool {
		list := e.statuses(e.call(http.MethodGet, "/status?"+url.Values{"pod_uid": {"test-uid"}}.Encode(), "", "Accept", "*/*"))
		return len(list) == 1 && list[0].Name == "test-pod" && list[0].Containers[0].Name == "test-container"
	})
	if got := e.call(http.MethodGet, "/health", ""); got.code != http.StatusOK {
		t.Errorf("the image's health check: %d %s", got.code, got.text)
	}
}
