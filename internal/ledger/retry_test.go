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

package ledger_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const forbidden = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
	"message":"secrets is forbidden: User \"x\" cannot create resource \"secrets\" in API group \"\" in the namespace \"n\""}`

func TestCreateAndDeleteOutlastAnAPIServerThatIsAway(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"the connection is refused":          times(4, refusedConnection),
		"the answers are lost":               times(4, lostAnswer),
		"it is too busy":                     times(4, answer(http.StatusTooManyRequests, "text/plain", "slow down")),
		"its storage is away":                times(4, answer(http.StatusInternalServerError, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","code":500,"message":"etcdserver: no leader"}`)),
		"it has not read its roles yet":      times(4, answer(http.StatusForbidden, "application/json", forbidden)),
		"a proxy before it knows no backend": times(4, answer(http.StatusBadGateway, "text/html", "<h1>502</h1>")),
		"it does not serve the kind yet":     times(4, answer(http.StatusNotFound, "text/plain", "404 page not found")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, w := wired(t)
			b := newBench(t, func(o *ledger.Options) { o.Writer, o.Reader = c, c })
			pod := b.pod(func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} })
			w.set(f)
			b.mustCreate(pod)
			if jobs, secrets := b.jobs(), b.secrets(); len(jobs) != 1 || len(secrets) != 1 || jobs[0].Spec.PayloadSecretNames[0] != secrets[0].Name {
				t.Errorf("there are %d RemoteJobs and %d payload Secrets, want one of each", len(jobs), len(secrets))
			}
			w.set(nil)
			again := b.pod()
			b.mustCreate(again)
			for _, p := range []*corev1.Pod{pod, again, b.pod()} {
				w.set(times(3, f))
				if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(p)}); err != nil {
					t.Fatal(err)
				}
				if job := b.job(p); job == nil || !job.Spec.Cancel {
					t.Errorf("%s is not cancelled", p.Name)
				}
			}
		})
	}
}

func TestADeleteGoesOnWhenItsCallerHasGone(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := newBench(t, func(o *ledger.Options) { o.Writer, o.Reader = c, c })
	pod := b.pod()
	b.mustCreate(pod)
	w.set(times(3, refusedConnection))
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	if err := b.ledger.Delete(ctx, ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
		t.Fatal(err)
	}
	if !b.job(pod).Spec.Cancel {
		t.Error("the deletion was given up: interLink never sends it again")
	}
}

func TestPatienceEndsInWords(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := newBench(t, func(o *ledger.Options) { o.Writer, o.Reader, o.Outlast = c, c, 300*time.Millisecond })
	pod := b.pod()
	for _, f := range []fault{refusedConnection, silence} {
		w.set(f)
		_, err := b.create(pod)
		wantError(t, err, ledger.Unavailable, "API server")
		wantError(t, b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}), ledger.Unavailable, "API server")
	}
	if strings.Contains(b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}).Error(), "6443") {
		t.Error("the answer tells of the cluster's inside")
	}
}

func TestWhatWillNotPassIsToldAtOnce(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := newBench(t, func(o *ledger.Options) { o.Writer, o.Reader = c, c })
	for words, f := range map[string]fault{
		"exceeded quota": answer(http.StatusForbidden, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
			"message":"secrets \"x\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1"}`),
		"Invalid": answer(http.StatusUnprocessableEntity, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,
			"message":"RemoteJob is invalid: spec.x: Invalid value: \"s3cr3t\""}`),
	} {
		w.set(on(http.MethodPost, f))
		started := time.Now()
		_, err := createWith(b, b.ledger, b.pod(func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} }), workload.Payload{})
		wantError(t, err, ledger.Refused, words)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the answer quotes a value: %v", err)
		}
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("the refusal took %s", took)
		}
	}
}

func TestCreateWaitsForTheLedgerToBeRead(t *testing.T) {
	t.Parallel()
	b := idleBench(t)
	pod := b.pod()
	start := b.attach(b.ledger)
	wantError(t, b.ledger.Ready(), ledger.Unavailable)
	done := make(chan error)
	go func() {
		_, err := b.create(pod)
		done <- err
	}()
	start()
	if err := <-done; err != nil {
		t.Errorf("a create that came early failed: %v", err)
	}
	b.ledger = b.newLedger(func(o *ledger.Options) { o.Outlast = 200 * time.Millisecond })
	_, err := b.create(b.pod())
	wantError(t, err, ledger.Unavailable)
}
