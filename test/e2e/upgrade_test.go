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
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// stored puts the objects of a file into the ledger, with their status.
func (w world) stored(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		status, has := object.Object["status"]
		if err := w.ledger.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if !has {
			continue
		}
		object.Object["status"] = status
		if err := w.ledger.Status().Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatAnOlderVersionStoredIsServedAndGoneOnWith has a ledger that an older manager has written, and this one.
func TestWhatAnOlderVersionStoredIsServedAndGoneOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ledger.MakeBackend(t.Context(), t, "old", shared.engine.Host, named("old"))
	w.stored(t, "testdata/stored.yaml")
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, engine: shared.engine}
	s.manager = harness.StartManager(t, harness.ManagerOptions{Binaries: shared.binaries, Config: w.plane.Config})
	pod := func(name string, uid types.UID, jobID string) *corev1.Pod {
		p := harness.NewPod(name, "old", harness.Shell("main", ""))
		p.UID, p.Annotations["JobID"] = uid, jobID
		return p
	}

	finished := pod("finished", "93c9d283-0b12-4b63-a5bb-2b74e3a4df76", "rj-9664e6720d2807fad3d3aad6288e975c")
	before := s.ledger.MustJob(s.ctx, t, finished).Status
	status, err := s.status(finished)
	if err != nil || status.Exit("main") != 3 || status.JID != before.JobID {
		t.Errorf("a pod that had ended: %v, %+v", err, status)
	}
	if started := s.engine.Events().Starts(s.ledger.Token(finished)); len(started) > 0 {
		t.Errorf("a pod that had ended was started again: %v", started)
	}

	waited := pod("waits", "b9f5c269-a7ce-4b8b-986a-86a8dc3096b9", "")
	delete(waited.Annotations, "JobID")
	s.exits(s.ended(waited, longTime), map[string]int32{"main": 7})
	if log := s.log(waited, "main", harness.LogOpts{}); !strings.Contains(log, "hello from an older version") {
		t.Errorf("its log is %q", log)
	}
	s.started(waited, "main")

	// What is sent again is the same job, and what is deleted goes.
	again, answer, err := s.manager.Create(s.ctx, harness.Request(waited).Body(t))
	if job := s.ledger.MustJob(s.ctx, t, waited); err != nil || answer.Code != http.StatusOK || again.PodUID != string(waited.UID) || job.Labels["remotejob.dev/pod-uid"] != again.PodUID {
		t.Errorf("/create of a pod that is known: %v, %d %s", err, answer.Code, answer.Body)
	}
	for _, p := range []*corev1.Pod{finished, waited} {
		s.gone(p, longTime)
	}
	var secrets corev1.SecretList
	if err := s.ledger.List(s.ctx, &secrets); err != nil {
		t.Fatal(err)
	}
	for i := range secrets.Items {
		if secrets.Items[i].Type == "remotejob.dev/payload" {
			t.Errorf("payload Secret %s is left", secrets.Items[i].Name)
		}
	}
}
