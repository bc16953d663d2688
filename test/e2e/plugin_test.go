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
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// pluginDir is the directory with kubectl's plugin.
var pluginDir = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(harness.Root(), "bin", "test", "e2e")
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "kubectl-remotejob"), "./cmd/kubectl-remotejob")
	cmd.Dir = harness.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	return dir, nil
})

// plugin runs kubectl remotejob, by kubectl itself.
func (s *side) plugin(ctx context.Context, args ...string) (out string, err error) {
	s.t.Helper()
	var stdout bytes.Buffer
	err = s.pluginTo(ctx, &stdout, args...)
	return stdout.String(), err
}

// pluginTo is plugin for what is to be looked at while it comes.
func (s *side) pluginTo(ctx context.Context, stdout io.Writer, args ...string) error {
	s.t.Helper()
	dir, err := pluginDir()
	if err != nil {
		s.t.Fatal(err)
	}
	plane := s.plane
	if plane == nil {
		plane = shared.plane
	}
	cmd := plane.Kubectl(ctx, append([]string{"remotejob"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"), "REMOTEJOB_ENDPOINT="+s.manager.Base)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("kubectl remotejob %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return err
}

// coming is output that is looked at while it comes.
type coming struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *coming) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *coming) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func (s *side) mustPlugin(args ...string) string {
	s.t.Helper()
	out, err := s.plugin(s.ctx, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// says fails the test unless the plugin prints all the words.
func (s *side) says(args []string, words ...string) {
	s.t.Helper()
	out := s.mustPlugin(args...)
	for _, word := range words {
		if !strings.Contains(out, word) {
			s.t.Errorf("kubectl remotejob %s does not say %q:\n%s", strings.Join(args, " "), word, out)
		}
	}
}

func TestThePluginTellsTheStoryOfAPodFromItsUID(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("story", mainBackend, harness.Shell("main", "for i in 1 2 3 4 5; do echo line $i; done; exit 3"))
	s.run(pod)
	s.ended(pod, time.Minute)
	uid := string(pod.UID)
	harness.Eventually(t, time.Minute, "an Event about the failure", func() error {
		out, err := s.plugin(s.ctx, "describe", uid)
		if err == nil && !strings.Contains(out, "Warning") {
			err = fmt.Errorf("there is none:\n%s", out)
		}
		return err
	})
	s.says([]string{"describe", uid}, "default/story", uid, "Failed", "ended with exit code 3", "Harness#1", s.ledger.Token(pod), "True, Connected", "Submitted", "Finished")
	s.says([]string{"list", "--backend", mainBackend, "-o", "wide"}, uid, "default/story")
	s.says([]string{"backends"}, mainBackend, "Docker", "True")
	for _, tt := range []struct {
		flags string
		want  string
	}{
		{"", "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{"--tail 2", "line 4\nline 5\n"},
		{"--limit-bytes 6", "line 1"},
		{"--tail 1 --prefix", "[" + s.ledger.MustJob(s.ctx, t, pod).Name + "/main] line 5\n"},
		{"--since-time 2100-01-01T00:00:00Z", ""},
		{"-f --since 1h --tail 1", "line 5\n"},
	} {
		if got := s.mustPlugin(append([]string{"logs", uid}, strings.Fields(tt.flags)...)...); got != tt.want {
			t.Errorf("logs %s: %q, want %q", tt.flags, got, tt.want)
		}
	}
	if got := s.mustPlugin("logs", "pod/story", "--timestamps", "--tail", "1"); !strings.HasSuffix(got, "Z line 5\n") {
		t.Errorf("with its time a line is %q", got)
	}
	if _, err := s.plugin(s.ctx, "logs", uid, "--previous"); err == nil {
		t.Error("there is a log of a run that never was")
	}
	// One search of the log finds all that was done about the pod.
	lines := s.manager.Lines(uid)
	for _, words := range []string{`"call":"POST /create"`, `"phase":"Failed"`, `"session":"Harness#1"`, s.ledger.Token(pod)} {
		if !strings.Contains(lines, words) {
			t.Errorf("the log does not say %s of the pod:\n%s", words, lines)
		}
	}
	if out, err := s.plugin(s.ctx, "retry", uid); err == nil && !strings.Contains(out, "retry") || err != nil && !strings.Contains(err.Error(), "delete that pod and make it anew") {
		t.Errorf("retry: %s %v", out, err)
	}
}

func TestThePluginRunsAHandWrittenJobAgainFollowsItAndCancelsIt(t *testing.T) {
	s := onShared(t)
	job := s.handWritten("again", corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{
			harness.Shell("main", "if [ -e /tmp/x ]; then exit 1; fi; echo begun; touch /tmp/x; exit 3"),
		},
	}})
	s.jobIn(job, v1alpha1.PhaseFailed)
	name := strings.TrimPrefix(strings.TrimSpace(s.mustPlugin("retry", job.Name)), "remotejob.remotejob.dev/")
	again := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	s.jobIn(again, v1alpha1.PhaseFailed)
	if again.UID == job.UID || again.Status.JobID == job.Status.JobID {
		t.Errorf("the new job is the old one: %s", again.Status.JobID)
	}
	if got := s.mustPlugin("logs", "rj/"+name); got != "begun\n" {
		t.Errorf("the log of a hand-written job is %q", got)
	}
	if out := s.mustPlugin("cancel", name); !strings.Contains(out, name+" is gone") {
		t.Errorf("cancel: %s", out)
	}
	s.jobGone(again)

	long := s.handWritten("long", corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		harness.Shell("one", "trap 'echo bye; exit 0' TERM; echo one; sleep 1000 & wait"), harness.Shell("two", "trap 'exit 0' TERM; echo two; sleep 1000 & wait"),
	}}})
	s.jobIn(long, v1alpha1.PhaseRunning)
	harness.Eventually(t, time.Minute, "both have begun", func() error {
		out, err := s.plugin(s.ctx, "logs", long.Name, "--all-containers")
		if err == nil && out != "one\ntwo\n" {
			err = fmt.Errorf("the logs are %q", out)
		}
		return err
	})
	var seen coming
	followed := make(chan error, 1)
	go func() { followed <- s.pluginTo(s.ctx, &seen, "logs", long.Name, "--all-containers", "-f", "--prefix") }()
	harness.Eventually(t, time.Minute, "who follows the logs sees both", func() error {
		for _, line := range []string{"[" + long.Name + "/one] one\n", "[" + long.Name + "/two] two\n"} {
			if out := seen.String(); !strings.Contains(out, line) {
				return fmt.Errorf("%q is not in %q", line, out)
			}
		}
		return nil
	})
	s.says([]string{"cancel", long.Name}, long.Name+" is gone")
	t.Logf("who followed the logs saw an end: %v", <-followed)
}
