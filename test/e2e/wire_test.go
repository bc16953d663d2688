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

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// recordedPod is the pod of a recorded /create or /delete.
func recordedPod(t *testing.T, body []byte) *corev1.Pod {
	t.Helper()
	var request struct {
		Pod *corev1.Pod `json:"pod"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		t.Fatal(err)
	}
	return request.Pod
}

func TestTheRecordedSimplePodRunsFromCreateToDelete(t *testing.T) {
	s := onShared(t)
	body := harness.Recorded(t, "create-simple")
	pod := recordedPod(t, body)
	s.deleteAfterwards(pod)

	created, answer, err := s.manager.Create(s.ctx, body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/create: %v, %d %s", err, answer.Code, answer.Body)
	}
	if created.PodUID != string(pod.UID) || created.PodJID == "" {
		t.Fatalf("/create: %s", answer.Body)
	}
	st := s.ended(pod, time.Minute)
	s.exits(st, map[string]int32{"c": 0})
	if st.JID != created.PodJID {
		t.Errorf("the job's id is %q in /status and %q in /create", st.JID, created.PodJID)
	}
	if got := s.log(pod, "c", harness.LogOpts{}); got != "hi\n" {
		t.Errorf("the log is %q", got)
	}

	// The recorded /status is about the same pod, and carries a JobID.
	answer, err = s.manager.Do(s.ctx, http.MethodGet, "/status", harness.Recorded(t, "status"))
	if err != nil || answer.Code != http.StatusOK || !strings.Contains(string(answer.Body), `"simple"`) {
		t.Errorf("the recorded /status: %v, %d %s", err, answer.Code, answer.Body)
	}
	s.gone(pod, time.Minute)
}

// rich is the recorded pod with an init container, two containers, env and every kind of volume, and the body that it came in; with a
// UID of its own where it is to be fresh.
func (s *side) rich(fresh bool) (harness.CreateRequest, map[string]json.RawMessage) {
	s.t.Helper()
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(harness.Recorded(s.t, "create-rich"), &whole); err != nil {
		s.t.Fatal(err)
	}
	pod := recordedPod(s.t, harness.Recorded(s.t, "create-rich"))
	if fresh {
		pod.UID = harness.NewUID()
	}
	return harness.CreateRequest{Pod: pod}, whole
}

// send puts the pod back into the recorded body, whose other parts stay as they were recorded.
func (s *side) send(whole map[string]json.RawMessage, pod *corev1.Pod) harness.Answer {
	s.t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		s.t.Fatal(err)
	}
	whole["pod"] = text
	body, err := json.Marshal(whole)
	if err != nil {
		s.t.Fatal(err)
	}
	_, answer, err := s.manager.Create(s.ctx, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// runRich sends the recorded rich pod.
func (s *side) runRich(whole map[string]json.RawMessage, pod *corev1.Pod) {
	s.t.Helper()
	s.deleteAfterwards(pod)
	if answer := s.send(whole, pod); answer.Code != http.StatusOK {
		s.t.Fatalf("/create: %d %s", answer.Code, answer.Body)
	}
}

func TestTheRecordedRichPodRunsToItsEnd(t *testing.T) {
	s := onShared(t)
	r, whole := s.rich(false)
	s.runRich(whole, r.Pod)

	st := s.ended(r.Pod, 2*time.Minute)
	s.exits(st, map[string]int32{"prepare": 0, "main": 0, "sidecar": 0})
	want := "mode=fast\nthreads=4\ns3cr3t with spaces & 'quotes'prepared\nhello\n"
	if got := s.log(r.Pod, "main", harness.LogOpts{}); got != want {
		t.Errorf("main wrote %q, want %q", got, want)
	}
	s.started(r.Pod, "prepare", "main", "sidecar")

	// As recorded: the last five lines of the last hour, with timestamps.
	answer, err := s.manager.Do(s.ctx, http.MethodGet, "/getLogs", harness.Recorded(t, "getlogs"))
	if err != nil || answer.Code != http.StatusOK || strings.Count(string(answer.Body), "\n") != 4 {
		t.Errorf("the recorded /getLogs: %v, %d %q", err, answer.Code, answer.Body)
	}

	// The recorded /delete carries the pod as it stood at its end.
	job := s.ledger.MustJob(s.ctx, t, r.Pod)
	answer, err = s.manager.Do(s.ctx, http.MethodPost, "/delete", harness.Recorded(t, "delete"))
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("the recorded /delete: %v, %d %s", err, answer.Code, answer.Body)
	}
	harness.Eventually(t, time.Minute, "nothing left", func() error {
		if err := s.ledger.Gone(s.ctx, r.Pod, job.Spec.PayloadSecretNames); err != nil {
			return err
		}
		return s.nothingLeft(r.Pod)
	})
}

// show prints what a container of the rich pod sees: each file's mode, owner and bytes, and its env.
const show = `
for f in /etc/app/greeting /etc/app/settings.ini /etc/one.ini /etc/secret/password /etc/secret/token /etc/podinfo/labels /etc/proj/greeting /etc/proj/settings.ini; do
  echo "$f $(stat -L -c %a $f) $(base64 -w 0 $f)"
done
ls -A /etc/app /etc/secret /etc/podinfo | grep -v '^\.\.' | tr '\n' ' '; echo
for v in token PLAIN GREETING TOKEN POD_NAME password; do eval "printf '%s=%s|' $v \"\$$$$v\""; done; echo
touch /etc/app/x 2>/dev/null && echo writable app
touch /etc/secret/x 2>/dev/null && echo writable secret
echo x > /scratch/x && echo scratch is writable
`

func TestTheRecordedRichPodSeesItsFilesModesAndEnvByteForByte(t *testing.T) {
	s := onShared(t)
	r, whole := s.rich(true)
	for i := range r.Pod.Spec.Containers {
		c := &r.Pod.Spec.Containers[i]
		c.ReadinessProbe, c.Lifecycle = nil, nil
		switch c.Name {
		case "main":
			c.Args = []string{show}
		case "sidecar":
			c.Command = []string{"sh", "-c", "exec 2>/dev/null; cat /scratch/flag; echo x > /scratch/y || echo read-only"}
		}
	}
	s.runRich(whole, r.Pod)
	s.exits(s.ended(r.Pod, time.Minute), map[string]int32{"prepare": 0, "main": 0, "sidecar": 0})

	settings, greeting := "bW9kZT1mYXN0CnRocmVhZHM9NAo=", "aGVsbG8="
	want := strings.Join([]string{
		"/etc/app/greeting 440 " + greeting,
		"/etc/app/settings.ini 440 " + settings,
		"/etc/one.ini 644 " + settings,
		"/etc/secret/password 400 czNjcjN0IHdpdGggc3BhY2VzICYgJ3F1b3Rlcyc=",
		"/etc/secret/token 400 dG9rLTEyMw==",
		"/etc/podinfo/labels 644 YXBwPSJyaWNoIgo=",
		"/etc/proj/greeting 644 " + greeting,
		"/etc/proj/settings.ini 644 " + settings,
		"/etc/app: greeting settings.ini  /etc/podinfo: labels  /etc/secret: password token ",
		`token=tok-123|PLAIN=a b "c" $HOME|GREETING=hello|TOKEN=tok-123|POD_NAME=rich|password=s3cr3t with spaces & 'quotes'|`,
		"scratch is writable",
	}, "\n") + "\n"
	got := s.log(r.Pod, "main", harness.LogOpts{})
	if got = strings.ReplaceAll(got, ":\n", ": "); got != want {
		t.Errorf("main saw\n%s\nwant\n%s", got, want)
	}
	got = s.log(r.Pod, "sidecar", harness.LogOpts{})
	if got != "prepared\nread-only\n" {
		t.Errorf("sidecar saw %q", got)
	}
}

func TestTheRecordedRichPodHasItsLimitsOnTheEngine(t *testing.T) {
	s := onShared(t)
	r, whole := s.rich(true)
	for i := range r.Pod.Spec.Containers {
		r.Pod.Spec.Containers[i].ReadinessProbe, r.Pod.Spec.Containers[i].Lifecycle = nil, nil
		r.Pod.Spec.Containers[i].Command, r.Pod.Spec.Containers[i].Args = []string{"true"}, nil
	}
	s.runRich(whole, r.Pod)
	s.ended(r.Pod, time.Minute)
	container, err := s.inspect(s.ledger.Token(r.Pod) + "-main-0")
	if err != nil {
		t.Fatal(err)
	}
	if got := container.HostConfig.NanoCPUs; got != 1500*1000*1000 {
		t.Errorf("a limit of 1500m became %d NanoCPUs", got)
	}
	if got := container.HostConfig.Memory; got != 256<<20 {
		t.Errorf("a limit of 256Mi became %d bytes", got)
	}
}

func TestTheGuidesLocalTestWorksAsPrinted(t *testing.T) {
	s := onShared(t)
	const body = `[{
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
}]`
	pod := harness.NewPod("test-pod", mainBackend, corev1.Container{Name: "test-container"})
	pod.UID = "test-uid"
	s.deleteAfterwards(pod)

	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", []byte(body))
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/create: %v, %d %s", err, answer.Code, answer.Body)
	}
	var created []harness.Created
	if err := json.Unmarshal(answer.Body, &created); err != nil || len(created) != 1 || created[0].PodUID != "test-uid" || created[0].PodJID == "" {
		t.Fatalf("/create answers a list with %v: %s", err, answer.Body)
	}
	harness.Eventually(t, time.Minute, "the pod runs", func() error {
		answer, err := s.manager.Do(s.ctx, http.MethodGet, "/status?pod_uid=test-uid", nil)
		if err != nil || answer.Code != http.StatusOK {
			return fmt.Errorf("/status: %s, %d %s", fmt.Sprint(err), answer.Code, answer.Body)
		}
		var list []harness.PodStatus
		if err := json.Unmarshal(answer.Body, &list); err != nil || len(list) != 1 {
			return fmt.Errorf("/status: %s, %s", fmt.Sprint(err), answer.Body)
		}
		if err := wellFormed(pod, list[0]); err != nil {
			t.Fatal(err)
		}
		if list[0].Containers[0].State.Running == nil {
			return fmt.Errorf("it does not: %s", states(list[0]))
		}
		return nil
	})
	if s.engine.Registry.Asked("library/nginx:latest") == 0 {
		t.Error("an image named latest was not asked for at its registry")
	}

	// The guide's /delete sends a PodStatus.
	answer, err = s.manager.Do(s.ctx, http.MethodPost, "/delete", []byte(`{"name": "test-pod", "UID": "test-uid", "namespace": "default"}`))
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/delete: %v, %d %s", err, answer.Code, answer.Body)
	}
	harness.Eventually(t, time.Minute, "nothing left", func() error {
		if err := s.ledger.Gone(s.ctx, pod, nil); err != nil {
			return err
		}
		return s.nothingLeft(pod)
	})
}
