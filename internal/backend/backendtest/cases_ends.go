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

package backendtest

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Ends that are asked for: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func deleteCases() []testCase {
	return []testCase{
		{name: "a pod that is deleted gets TERM and the grace period", run: func(e *env) {
			p := e.run(e.pod(onTerm), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(30 * time.Second)
			d := p.end()
			if got := e.terminated(d, "main").ExitCode; got != 0 {
				e.Errorf("main, which ends with 0 on TERM, ended with %d", got)
			}
			if d.Phase != corev1.PodFailed {
				e.Errorf("a pod that was stopped is %s", d.Phase)
			}
		}},
		{name: "a container that takes no notice of TERM is killed when the grace period is over", run: func(e *env) {
			p := e.run(e.pod(deaf), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(time.Second)
			if got := e.terminated(p.end(), "main").ExitCode; got != 137 {
				e.Errorf("main ended with %d", got)
			}
		}},
		{name: "delete while an init container runs ends the pod, and the others never run", run: func(e *env) {
			p := e.run(e.pod("echo never", first(e.container("one", onTerm))), workload.Payload{})
			p.untilLogged("one", "up")
			p.ask(5 * time.Second)
			d := p.end()
			if got := e.terminated(d, "main"); got.ExitCode == 0 {
				e.Errorf("main, which never ran, ended as %+v", got)
			}
		}},
		{name: "delete while a container waits for its next run ends the pod", run: func(e *env) {
			p := e.run(e.pod("exit 1", restarting(corev1.RestartPolicyAlways)), workload.Payload{})
			p.until("a back-off", func(d podlifecycle.Decision) bool {
				s, ok := find(d, "main")
				return ok && s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
			})
			p.ask(time.Second)
			p.end()
		}},
		{name: "delete of a pod that has ended removes what is left of it", run: func(e *env) {
			p := e.run(e.pod("exit 0"), workload.Payload{})
			p.end()
			p.halt()
			p.mustBeRemoved()
			p.mustNotBeThere()
		}},
		{name: "delete before the pod was submitted leaves nothing running, and a late submit is refused", run: func(e *env) {
			p := e.prepare(e.pod(onTerm), workload.Payload{})
			p.mustBeRemoved()
			c := e.connected()
			_, err := c.backend.Submit(c.ctx, p.work)
			if rejected, ok := backend.IsRejected(err); !ok || rejected.Reason != backend.ReasonCancelled {
				e.Errorf("a submit after the delete was answered by %v", err)
			}
			p.mustNotBeThere()
		}},
		{name: "cancel in the middle of a run removes everything, and can be called again", run: func(e *env) {
			p := e.run(e.pod(onTerm, first(e.container("one", "exit 0")), and(e.container("other", onTerm)), shared()), workload.Payload{})
			p.untilLogged("main", "up")
			p.halt()
			p.mustBeRemoved()
			p.mustBeRemoved()
			p.mustNotBeThere()
		}},
		{name: "cancel against submit leaves nothing running, whoever comes first", run: func(e *env) {
			for i := range 4 {
				p := e.prepare(e.pod(onTerm), workload.Payload{})
				submitted := make(chan struct{})
				go func() {
					defer close(submitted)
					c := e.connected()
					_, _ = c.backend.Submit(c.ctx, p.work)
				}()
				if i%2 == 0 {
					pause(time.Duration(i) * 100 * time.Millisecond)
				}
				p.mustBeRemoved()
				<-submitted
				// What the submit left behind it is found by the next look, as a sweep would.
				p.mustBeRemoved()
				p.mustNotBeThere()
			}
		}},
	}
}

// mustNotBeThere checks that no job with the pod's token is observed, but for the marker that Cancel leaves.
func (p *pod) mustNotBeThere() {
	p.env.Helper()
	p.env.eventually("an observation", func() (bool, string) {
		c := p.env.connected()
		snapshot, err := c.backend.Observe(c.ctx)
		if err != nil {
			return false, err.Error()
		}
		if job, there := snapshot.Jobs[p.token()]; there && !job.Cancelled {
			p.env.Fatalf("the job is still there: %+v", job)
		}
		return true, ""
	})
}

// The promises of backend.Backend.
func identityCases() []testCase {
	return []testCase{
		{name: "the same pod submitted by eight at once is one job", run: func(e *env) {
			p := e.prepare(e.pod("echo ran", shared()), workload.Payload{})
			ids := make(chan string, 8)
			for range 8 {
				go func() {
					c := e.connected()
					id, err := c.backend.Submit(c.ctx, p.work)
					if err != nil {
						id = "error: " + err.Error()
					}
					ids <- id
				}()
			}
			seen := map[string]bool{}
			for range 8 {
				seen[<-ids] = true
			}
			if e.kills == nil && len(seen) != 1 {
				e.Errorf("eight submits were answered by %v", seen)
			}
			p.submit()
			p.drive()
			if got := p.output(); got != "ran\n" {
				e.Errorf("the pod wrote %q", got)
			}
		}},
		{name: "a manager that is killed and started again finds the pod as it left it", run: func(e *env) {
			p := e.run(e.pod("echo up; while [ ! -e /shared/go ]; do sleep 0.1; done; exit 6",
				and(e.container("other", "sleep 20; touch /shared/go; exit 0")), shared()), workload.Payload{})
			before := p.running("main")
			p.untilLogged("main", "up")
			p.halt()
			e.restart()
			p.submit()
			p.drive()
			d := p.end()
			e.ended(d, corev1.PodFailed, 6)
			if got := e.terminated(d, "main").ContainerID; got != before.ContainerID {
				e.Errorf("main is container %s, was %s", got, before.ContainerID)
			}
		}},
		{name: "the same pod name with another UID is another pod", run: func(e *env) {
			one := e.pod("echo one")
			two := e.pod("echo two")
			two.Name = one.Name
			p, q := e.run(one, workload.Payload{}), e.run(two, workload.Payload{})
			if got := p.output() + q.output(); got != "one\ntwo\n" {
				e.Errorf("the pods wrote %q", got)
			}
		}},
		{name: "a job is observed by its token, with its pod's name", run: func(e *env) {
			p := e.run(e.pod(onTerm), workload.Payload{})
			p.running("main")
			c := e.connected()
			snapshot, err := c.backend.Observe(c.ctx)
			if err != nil {
				e.Fatal(err)
			}
			job, there := snapshot.Jobs[p.token()]
			if !there || job.Pod.Name != p.work.Pod.Name || job.Pod.Namespace != p.work.Pod.Namespace || job.Fingerprint == "" || job.JobID == "" {
				e.Errorf("observed %+v", job)
			}
		}},
		{name: "the backend tells what it is and what it has", run: func(e *env) {
			c := e.connected()
			info, err := c.backend.Check(c.ctx)
			if err != nil || info.Version == "" || info.Identity == "" {
				e.Errorf("Check says %+v, %v", info, err)
			}
			capacity, err := c.backend.Capacity(c.ctx)
			if err != nil || capacity.Cpu().IsZero() || capacity.Memory().IsZero() {
				e.Errorf("Capacity says %v, %v", capacity, err)
			}
		}},
	}
}

func logCases() []testCase {
	return []testCase{
		{name: "a log is what the container wrote, to the byte", run: func(e *env) {
			p := e.run(e.pod(`printf 'one\ntwo\n\000\377\n\nno newline at the end'`), workload.Payload{})
			if got, want := p.output(), "one\ntwo\n\x00\xff\n\nno newline at the end"; got != want {
				e.Errorf("the log is %q, want %q", got, want)
			}
		}},
		{name: "both streams of a container are in its log", run: func(e *env) {
			p := e.run(e.pod(`echo out; echo err >&2`), workload.Payload{})
			if got := p.output(); got != "out\nerr\n" && got != "err\nout\n" {
				e.Errorf("the log is %q", got)
			}
		}},
		{name: "a line of 100,000 bytes comes out whole", run: func(e *env) {
			p := e.run(e.pod(`head -c 100000 /dev/zero | tr '\0' x; echo; head -c 32768 /dev/zero | tr '\0' y; echo; echo end`), workload.Payload{})
			if got, want := p.output(), strings.Repeat("x", 100000)+"\n"+strings.Repeat("y", 32768)+"\nend\n"; got != want {
				e.Errorf("the log has %d bytes, want %d", len(got), len(want))
			}
			two := int64(2)
			if got, want := p.logs("main", corev1.PodLogOptions{TailLines: &two}), strings.Repeat("y", 32768)+"\nend\n"; got != want {
				e.Errorf("the last two lines have %d bytes, want %d", len(got), len(want))
			}
		}},
		{name: "tail and limitBytes cut the log", run: func(e *env) {
			p := e.run(e.pod(`i=0; while [ $i -lt 10 ]; do echo line $i; i=$((i+1)); done`), workload.Payload{})
			p.end()
			two, seven, none := int64(2), int64(7), int64(0)
			for _, c := range []struct {
				opts corev1.PodLogOptions
				want string
			}{
				{corev1.PodLogOptions{TailLines: &two}, "line 8\nline 9\n"},
				{corev1.PodLogOptions{TailLines: &none}, ""},
				{corev1.PodLogOptions{LimitBytes: &seven}, "line 0\n"},
				{corev1.PodLogOptions{TailLines: &two, LimitBytes: &seven}, "line 8\n"},
			} {
				if got := p.logs("main", c.opts); got != c.want {
					e.Errorf("the log by %+v is %q, want %q", c.opts, got, c.want)
				}
			}
		}},
		{name: "timestamps stand before each line", run: func(e *env) {
			p := e.run(e.pod(`echo one; echo two`), workload.Payload{})
			p.end()
			lines := strings.Split(strings.TrimSuffix(p.logs("main", corev1.PodLogOptions{Timestamps: true}), "\n"), "\n")
			if len(lines) != 2 {
				e.Fatalf("the log is %q", lines)
			}
			for i, line := range lines {
				stamp, text, _ := strings.Cut(line, " ")
				if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != []string{"one", "two"}[i] {
					e.Errorf("line %d is %q", i, line)
				}
			}
		}},
		{name: "since leaves out what is older", run: func(e *env) {
			p := e.run(e.pod(`echo old; sleep 30; echo new`), workload.Payload{})
			d := p.end()
			seconds := int64(time.Since(e.terminated(d, "main").StartedAt.Time).Seconds()) - 15
			if got := p.logs("main", corev1.PodLogOptions{SinceSeconds: &seconds}); got != "new\n" {
				e.Errorf("the log of the last %d seconds is %q", seconds, got)
			}
		}},
		{name: "follow goes on until the container ends", run: func(e *env) {
			p := e.run(e.pod(`i=0; while [ $i -lt 5 ]; do echo line $i; sleep 2; i=$((i+1)); done`), workload.Payload{})
			p.running("main")
			var want strings.Builder
			for i := range 5 {
				fmt.Fprintf(&want, "line %d\n", i)
			}
			if got := p.logs("main", corev1.PodLogOptions{Follow: true}); got != want.String() {
				e.Errorf("the followed log is %q", got)
			}
		}},
		{name: "the log of a container that does not exist is NotFound", run: func(e *env) {
			p := e.run(e.pod(`exit 0`), workload.Payload{})
			p.end()
			c := e.connected()
			r, err := c.backend.Logs(c.ctx, p.ref(), "nobody", corev1.PodLogOptions{})
			if err == nil {
				_ = r.Close()
			}
			if e.kills == nil && !backend.IsNotFound(err) {
				e.Errorf("it was answered by %v", err)
			}
		}},
	}
}
