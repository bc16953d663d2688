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
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

// failing is a ledger whose every answer is an error, as no real one gives it on demand.
type failing struct{ err error }

func (f failing) Create(context.Context, []ledger.CreateRequest) ([]ledger.Created, error) {
	return nil, f.err
}
func (f failing) Status(context.Context, []ledger.Question) ([]byte, error)  { return nil, f.err }
func (f failing) Delete(context.Context, ledger.DeleteRequest) error         { return f.err }
func (f failing) FindAny(v1alpha1.PodReference) (*v1alpha1.RemoteJob, error) { return nil, f.err }
func (f failing) Token(*v1alpha1.RemoteJob) string                           { return "" }
func (f failing) Ready() error                                               { return f.err }

// calls makes one good call of each kind.
func (e *endpoint) calls(header ...string) map[string]reply {
	pod := `{"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	return map[string]reply{
		"/create":  e.call(http.MethodPost, "/create", `{"pod":`+pod+`}`, header...),
		"/status":  e.call(http.MethodGet, "/status", `[`+pod+`]`, header...),
		"/delete":  e.call(http.MethodPost, "/delete", pod, header...),
		"/getLogs": e.call(http.MethodGet, "/getLogs", `{"PodUID":"u"}`, header...),
	}
}

func TestWhatTheLedgerSaysDecidesTheStatus(t *testing.T) {
	for kind, code := range map[ledger.Kind]int{
		ledger.Invalid: http.StatusBadRequest, ledger.Refused: http.StatusUnprocessableEntity, ledger.Conflict: http.StatusConflict,
		ledger.NotFound: http.StatusNotFound, ledger.Unavailable: http.StatusServiceUnavailable,
	} {
		e := serve(t, pluginapi.Options{Ledger: failing{&ledger.Error{Kind: kind, Reason: "Because", Message: "it is\nso <really>", Err: errors.New("below")}}}, "")
		for path, got := range e.calls() {
			if got.code != code || got.text != "it is so <really>" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s: %d %s %q, want %d", path, got.code, got.header, got.text, code)
			}
		}
		for path, got := range e.calls("Accept", "application/json") {
			var body struct {
				Error struct{ Reason, Message string }
			}
			if err := json.Unmarshal([]byte(got.text), &body); err != nil || got.code != code || body.Error.Reason != "Because" || body.Error.Message != "it is so <really>" ||
				got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s %q, %v", path, got.code, got.header, got.text, err)
			}
		}
		if text := strings.Join(e.log.all(), "\n"); !strings.Contains(text, "below") {
			t.Errorf("the log does not hold the cause: %s", text)
		}
	}
}

// TestASentenceComesThroughInterLinkAsItWasWritten: interLink escapes it for HTML, and the virtual kubelet makes one line of it.
func TestASentenceComesThroughInterLinkAsItWasWritten(t *testing.T) {
	const message = `there is no RemoteBackend "gpu", so the pod's job can't run at "hpc"`
	e := serve(t, pluginapi.Options{Ledger: failing{ledger.Errorf(ledger.Refused, ledger.ReasonRefused, "%s", message)}}, "")
	for path, got := range e.calls() {
		if want := "there is no RemoteBackend “gpu”, so the pod’s job can’t run at “hpc”"; html.EscapeString(got.text) != want {
			t.Errorf("%s: interLink shows %q", path, html.EscapeString(got.text))
		}
	}
	for path, got := range e.calls("Accept", "application/json") {
		if encoded, _ := json.Marshal(message); !strings.Contains(got.text, string(encoded)) {
			t.Errorf("%s: %s", path, got.text)
		}
	}
}

func TestJSONIsSentToThoseWhoNameIt(t *testing.T) {
	e := serve(t, pluginapi.Options{}, "")
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/plain": false, "application/json": true, "Application/JSON; q=0.9, */*": true, "text/html, application/json": true,
	} {
		if got := e.call(http.MethodPost, "/create", "", "Accept", accept); json.Valid([]byte(got.text)) != want {
			t.Errorf("Accept %q: %s", accept, got.text)
		}
	}
	if got := e.call(http.MethodPost, "/create", "", "Accept", "text/plain", "Accept", "application/json"); !json.Valid([]byte(got.text)) {
		t.Errorf("two headers: %s", got.text)
	}
}

func TestWhileTheLedgerCannotBeReadNothingIsSaidOfPodsAndThePingGoesOn(t *testing.T) {
	unread := ledger.Errorf(ledger.Unavailable, ledger.ReasonNotSynced, "the ledger has not been read yet")
	e := serve(t, pluginapi.Options{Ledger: failing{unread}}, "")
	for path, got := range e.calls() {
		if got.code != http.StatusServiceUnavailable || got.text != unread.Message {
			t.Errorf("%s: %d %q", path, got.code, got.text)
		}
	}
	for path, code := range map[string]int{"/readyz": 503, "/health": 200, "/healthz": 200, "/system-info": 200, "/openapi.json": 200} {
		if got := e.call(http.MethodGet, path, ""); got.code != code {
			t.Errorf("%s: %d %s, want %d", path, got.code, got.text, code)
		}
	}
	if got := e.call(http.MethodGet, "/status", "[]"); got.code != http.StatusOK || got.text != `{"status":"ok"}` {
		t.Errorf("the ping: %d %s", got.code, got.text)
	}
}

// bad is a ledger that is broken.
type bad struct{ failing }

func (bad) Status(context.Context, []ledger.Question) ([]byte, error) {
	panic("a bug with a secret in it")
}

func TestAFaultOfOurOwnIsAnsweredAndTellsNothing(t *testing.T) {
	e := serve(t, pluginapi.Options{Ledger: bad{failing{errors.New("a bug with a secret in it")}}}, "")
	for path, got := range e.calls() {
		if got.code != http.StatusInternalServerError || strings.Contains(got.text, "secret") || got.text == "" {
			t.Errorf("%s: %d %q", path, got.code, got.text)
		}
	}
	if got := e.call(http.MethodGet, "/health", ""); got.code != http.StatusOK {
		t.Errorf("afterwards: %d", got.code)
	}
}

func TestThePingTellsWhatTheVirtualNodeHas(t *testing.T) {
	full := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2500m"), corev1.ResourceMemory: resource.MustParse("8000Mi"), corev1.ResourcePods: resource.MustParse("1000"),
		"nvidia.com/gpu": resource.MustParse("2"), "amd.com/gpu": resource.MustParse("1"), "hugepages-2Mi": resource.MustParse("1Gi"),
		"attachable-volumes.kubernetes.io/x": resource.MustParse("3"),
	}
	for name, tt := range map[string]struct {
		node pluginapi.Node
		want string
	}{
		"all": {pluginapi.Node{Capacity: full, Taints: []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}}},
			`{"status":"ok","resources":{"cpu":"2500m","memory":"8000Mi","pods":"1k","accelerators":[{"resourceType":"amd.com/gpu","available":1},{"resourceType":"nvidia.com/gpu","available":2}]},"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}`},
		"a backend that is away, with taints": {pluginapi.Node{Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute}}},
			`{"status":"ok","taints":[{"key":"k","value":"","effect":"NoExecute"}]}`},
		"no taints, which leave the node's": {pluginapi.Node{Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
			`{"status":"ok","resources":{"cpu":"1","memory":"0","pods":"0","accelerators":[]}}`},
		"an empty list, which takes the node's away": {pluginapi.Node{Taints: []corev1.Taint{}}, `{"status":"ok","taints":[]}`},
		"nothing": {pluginapi.Node{}, `{"status":"ok"}`},
	} {
		var who []string
		e := serve(t, pluginapi.Options{Nodes: nodes(func(backend string) pluginapi.Node { who = append(who, backend); return tt.node })}, "hpc")
		for _, call := range []struct{ method, body string }{
			{http.MethodGet, recorded(t, "ping")}, {http.MethodPost, "[]"}, {http.MethodGet, ""}, {http.MethodGet, " [ ] \n"}, {http.MethodPost, ""},
		} {
			if got := e.call(call.method, "/status", call.body); got.code != http.StatusOK || got.text != tt.want {
				t.Errorf("%s, %s of %q: %d %s, want %s", name, call.method, call.body, got.code, got.text, tt.want)
			}
		}
		if strings.Join(who, ",") != strings.TrimSuffix(strings.Repeat("hpc,", 5), ",") {
			t.Errorf("%s: the ping asks for %q", name, who)
		}
	}
}

func TestTheEndpointTellsOfItself(t *testing.T) {
	e := serve(t, pluginapi.Options{
		Ledger: failing{}, Version: "v1.2.3",
		Nodes: nodes(func(string) pluginapi.Node {
			return pluginapi.Node{Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}
		}),
	}, "hpc")
	for path, contentType := range map[string]string{
		"/health": "text/plain; charset=utf-8", "/healthz": "text/plain; charset=utf-8", "/readyz": "text/plain; charset=utf-8",
		"/openapi.json": "application/json", "/system-info": "application/json",
	} {
		got := e.call(http.MethodGet, path, "")
		if got.code != http.StatusOK || got.header.Get("Content-Type") != contentType || got.text == "" {
			t.Errorf("%s: %d %s %q", path, got.code, got.header, got.text)
		}
		if head := e.call(http.MethodHead, path, ""); head.code != http.StatusOK || head.text != "" || head.header.Get("Content-Length") != got.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %s %q", path, head.code, head.header, head.text)
		}
	}
	var info map[string]any
	if got := e.call(http.MethodGet, "/system-info", ""); json.Unmarshal([]byte(got.text), &info) != nil || info["version"] != "v1.2.3" || info["backend"] != "hpc" ||
		info["ready"] != true || info["resources"].(map[string]any)["cpu"] != "2" {
		t.Errorf("/system-info: %s", got.text)
	}
}
