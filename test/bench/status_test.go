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

// Package bench measures what the operator costs, in ratios that are taken in one run.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	// jobs is how many RemoteJobs the ledger holds while it is asked.
	jobs = 10_000
	// bodyBytes is the size of a pod as the virtual kubelet sends it, answerBytes that of a bare handler's answer.
	bodyBytes, answerBytes = 10 << 10, 1 << 10
	// maxRatio bounds the median of /status, as a multiple of the bare handler's.
	maxRatio = 3
	// rounds of calls, the two sides in turn, so that what the machine does meanwhile falls on both.
	rounds, callsPerRound = 40, 100
	// standing is how many requests the manager may make to each side during the run for its own sake: a check, an observation, a watch
	// that is begun anew. It does not grow with the calls.
	standing = 8
)

// bareEnv makes this test binary serve the bare handler instead of running tests.
const bareEnv = "REMOTEJOB_BENCH_BARE"

func TestMain(m *testing.M) {
	if address := os.Getenv(bareEnv); address != "" {
		serveBare(address)
		return
	}
	code := m.Run()
	for _, end := range slices.Backward(atTheEnd) {
		end()
	}
	os.Exit(code)
}

// atTheEnd is what ends the stage, last things first.
var atTheEnd []func()

// serveBare is a handler that reads the body and answers 1 KiB, in a process of its own as the manager is.
func serveBare(address string) {
	answer := []byte(strings.Repeat("x", answerBytes))
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})}
	fmt.Fprintln(os.Stderr, server.Serve(l))
}

// stage is a manager whose ledger holds many RemoteJobs, beside a bare handler.
type stage struct {
	manager *harness.Manager
	bare    *harness.InterLink
	pods    []*corev1.Pod
	api     *harness.APIProxy
	engine  *harness.EngineProxy
}

// sample is what one run of calls showed.
type sample struct {
	ours, bare  []time.Duration
	api, engine int64
	calls       int
}

func (s *sample) ratio() float64 {
	return float64(median(s.ours)) / float64(median(s.bare))
}

func median(d []time.Duration) time.Duration { return quantile(d, 0.5) }

func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// call times one call about one pod.
func call(ctx context.Context, to *harness.InterLink, body []byte) (time.Duration, harness.Answer, error) {
	begin := time.Now()
	answer, err := to.Do(ctx, http.MethodGet, "/status", body)
	return time.Since(begin), answer, err
}

// measure asks the manager and the bare handler in turn, about pods all over the ledger.
func (st *stage) measure(ctx context.Context, n int) (*sample, error) {
	bodies := make([][]byte, len(st.pods))
	for i, pod := range st.pods {
		body, err := questionAbout(pod)
		if err != nil {
			return nil, err
		}
		bodies[i] = body
	}
	s := &sample{}
	api, engine := st.api.Requests(), st.engine.Requests()
	for round := range n {
		for i := range callsPerRound {
			pod := (round*callsPerRound + i) * 7919 % len(st.pods)
			took, answer, err := call(ctx, st.manager.InterLink, bodies[pod])
			if err != nil {
				return nil, err
			}
			if answer.Code != http.StatusOK || !strings.Contains(string(answer.Body), string(st.pods[pod].UID)) {
				return nil, fmt.Errorf("/status about %s: %d %s", st.pods[pod].UID, answer.Code, answer.Body)
			}
			s.ours = append(s.ours, took)
		}
		for i := range callsPerRound {
			took, answer, err := call(ctx, st.bare, bodies[i%len(bodies)])
			if err != nil || answer.Code != http.StatusOK {
				return nil, fmt.Errorf("the bare handler: %w, %d", err, answer.Code)
			}
			s.bare = append(s.bare, took)
		}
	}
	s.api, s.engine, s.calls = st.api.Requests()-api, st.engine.Requests()-engine, len(s.ours)
	return s, nil
}

// questionAbout is the body of a /status call about one pod, as large as the virtual kubelet's are.
func questionAbout(pod *corev1.Pod) ([]byte, error) {
	whole := pod.DeepCopy()
	body, err := json.Marshal([]*corev1.Pod{whole})
	if err != nil {
		return nil, err
	}
	// What makes a pod large is the manifest that kubectl keeps in it.
	whole.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = strings.Repeat(`{"a":1}`, max(0, bodyBytes-len(body)-70)/9)
	return json.Marshal([]*corev1.Pod{whole})
}

var prepared = sync.OnceValues(prepare)

// stageFor is one stage for all tests and benchmarks of this package: to fill the ledger takes longer than to ask it.
func stageFor(tb testing.TB) *stage {
	tb.Helper()
	st, err := prepared()
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

func TestStatusAmongTenThousandJobsIsNearABareHandlerAndAsksNobody(t *testing.T) {
	st := stageFor(t)
	ctx := harness.Context(t)
	if _, err := st.measure(ctx, 5); err != nil { // to warm up
		t.Fatal(err)
	}
	s, err := st.measure(ctx, rounds)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("/status about one of %d: median %s, p95 %s, p99 %s; a bare handler: median %s, p95 %s; ratio of the medians %.2f; %d calls made %d API-server and %d engine requests",
		jobs, median(s.ours), quantile(s.ours, 0.95), quantile(s.ours, 0.99), median(s.bare), quantile(s.bare, 0.95), s.ratio(), s.calls, s.api, s.engine)
	if s.ratio() > maxRatio {
		t.Errorf("the median of /status is %.2f times that of a bare handler, want at most %d", s.ratio(), maxRatio)
	}
	if s.api > standing || s.engine > standing {
		t.Errorf("%d calls made %d API-server and %d engine requests", s.calls, s.api, s.engine)
	}
}

func BenchmarkStatusAmongTenThousandJobs(b *testing.B) {
	st := stageFor(b)
	ctx := b.Context()
	bodies := make([][]byte, 256)
	for i := range bodies {
		var err error
		if bodies[i], err = questionAbout(st.pods[i*7919%len(st.pods)]); err != nil {
			b.Fatal(err)
		}
	}
	for name, to := range map[string]*harness.InterLink{"operator": st.manager.InterLink, "bare": st.bare} {
		b.Run(name, func(b *testing.B) {
			api, engine := st.api.Requests(), st.engine.Requests()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				d, answer, err := call(ctx, to, bodies[i%len(bodies)])
				if err != nil || answer.Code != http.StatusOK {
					b.Fatalf("%v %d", err, answer.Code)
				}
				took = append(took, d)
			}
			b.ReportMetric(float64(median(took).Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(quantile(took, 0.95).Nanoseconds()), "p95-ns")
			b.ReportMetric(float64(st.api.Requests()-api), "api-requests")
			b.ReportMetric(float64(st.engine.Requests()-engine), "engine-requests")
		})
	}
}
