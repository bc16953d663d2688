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

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// synthetic is a SLURM that shows any number of running jobs. One of them is real: a pod that was brought to run as any other. What it left
// in the ledger, in the queue and in its directory is written again under other names, so all of it has the form that it has in earnest.
// A wrapper before squeue shows the rows of all.
type synthetic struct {
	*cluster
	ledger *ledger
	etcd   *etcd
	bin    string
	env    []string

	// the real pod and what there is of it.
	pod                 *corev1.Pod
	name, uid, jobID    string
	record, row, status []byte

	pods []*corev1.Pod
	rows bytes.Buffer
}

const syntheticBackend = "synthetic"

func podName(i int) string { return fmt.Sprintf("bench-%07d", i) }

func (e *environment) synthetic(ctx context.Context) (*synthetic, error) {
	s := &synthetic{}
	var err error
	if s.ledger, err = e.ledger(ctx); err != nil {
		return nil, err
	}
	if s.cluster, err = e.cluster(ctx); err != nil {
		return nil, err
	}
	if s.etcd, err = s.ledger.etcd(); err != nil {
		return nil, err
	}
	if err := s.wrapSqueue(); err != nil {
		return nil, err
	}
	if err := s.register(ctx, s.ledger, syntheticBackend, time.Second); err != nil {
		return nil, err
	}
	m, err := e.manager(s.ledger.plane.Config, syntheticBackend, s.env)
	if err != nil {
		return nil, err
	}
	if err := s.runOne(ctx, m); err != nil {
		return nil, err
	}
	return s, m.Stop(patience)
}

// file is one of the wrapper's.
func (s *synthetic) file(name string) string { return filepath.Join(s.bin, name) }

func (s *synthetic) wrapSqueue() error {
	squeue, err := exec.LookPath("squeue")
	if err != nil {
		return err
	}
	s.bin = filepath.Join(filepath.Dir(s.dir), "wrapped")
	script := fmt.Sprintf("#!/bin/sh\ncase $* in\n*--states=all*)\n  echo >>%[1]s/polls\n  [ -e %[1]s/rows ] && exec cat %[1]s/rows\n  %[2]s \"$@\" >%[1]s/seen.new && mv %[1]s/seen.new %[1]s/seen && exec cat %[1]s/seen;;\n*) exec %[2]s \"$@\";;\nesac\n", s.bin, squeue)
	s.env = append(s.Env(), "PATH="+s.bin+":"+os.Getenv("PATH"))
	return errors.Join(os.Mkdir(s.bin, 0o755), os.WriteFile(s.file("squeue"), []byte(script), 0o755))
}

// polls is how often the queue was asked.
func (s *synthetic) polls() int { return len(content(s.file("polls"))) }

// runOne brings a pod to run, and keeps what there is of it.
func (s *synthetic) runOne(ctx context.Context, m *manager) error {
	if err := s.ledger.ready(ctx, syntheticBackend); err != nil {
		return err
	}
	s.pod = harness.NewPod(podName(0), "", harness.Shell("main", "sleep 100000"))
	t := &submitter{cluster: s.cluster, ledger: s.ledger, manager: m}
	if err := t.create(ctx, s.pod); err != nil {
		return err
	}
	if err := harness.Poll(patience, func() error {
		statuses, _, err := m.Status(ctx, s.pod)
		if err != nil || len(statuses) != 1 || len(statuses[0].Containers) != 1 || statuses[0].Containers[0].State.Running == nil {
			return fmt.Errorf("it does not run: %+v, %w", statuses, err)
		}
		return nil
	}); err != nil {
		return err
	}
	job, err := s.ledger.Job(ctx, s.pod)
	if err != nil {
		return err
	}
	s.name, s.uid, s.jobID = job.Name, string(job.UID), job.Status.JobID
	if s.status, err = os.ReadFile(filepath.Join(s.directory(s.pod), "state.json")); err != nil {
		return err
	}
	if s.record, err = s.etcd.get(ctx, jobKey(job.Namespace, job.Name)); err != nil {
		return err
	}
	if err := harness.Poll(patience, func() error {
		if s.row = []byte(content(s.file("seen"))); !bytes.Contains(s.row, []byte("RUNNING")) {
			return fmt.Errorf("squeue does not show it running: %q", s.row)
		}
		return nil
	}); err != nil {
		return err
	}
	s.pods = []*corev1.Pod{s.pod}
	s.rows.Write(s.row)
	return os.WriteFile(s.file("rows"), s.row, 0o644)
}

// directory is a pod's job's.
func (s *synthetic) directory(pod *corev1.Pod) string {
	return filepath.Join(s.base, "jobs", s.ledger.Token(pod))
}

// grow makes jobs until there are n. No manager must run.
func (s *synthetic) grow(ctx context.Context, n int) error {
	entries := make(chan entry, 128)
	failed := make(chan error, 1)
	var last client.ObjectKey
	go func() {
		defer close(entries)
		for i := len(s.pods); i < n; i++ {
			pod := harness.NewPod(podName(i), "", s.pod.Spec.Containers...)
			rename := strings.NewReplacer(podName(0), podName(i), string(s.pod.UID), string(pod.UID), s.uid, string(harness.NewUID()),
				s.jobID, strconv.Itoa(900_000_000+i), s.ledger.Token(s.pod), s.ledger.Token(pod))
			dir := s.directory(pod)
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "state.json"), []byte(rename.Replace(string(s.status))), 0o600)); err != nil {
				failed <- err
				return
			}
			s.rows.WriteString(rename.Replace(string(s.row)))
			s.pods = append(s.pods, pod)
			last = client.ObjectKey{Namespace: pod.Namespace, Name: rename.Replace(s.name)}
			select {
			case entries <- entry{jobKey(pod.Namespace, rename.Replace(s.name)), []byte(rename.Replace(string(s.record)))}:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
		failed <- nil
	}()
	err := s.etcd.put(ctx, entries)
	for range entries { // what is left when a write failed
	}
	if err := errors.Join(err, <-failed, os.WriteFile(s.file("rows"), s.rows.Bytes(), 0o644)); err != nil {
		return err
	}
	// Many are written in one transaction, and so have one resource version, as no writes by the API server do. Whoever lists while that has
	// got half of them from etcd misses the others: they are no newer than what was listed.
	if last.Name == "" {
		return nil
	}
	fromCache := &client.GetOptions{Raw: &metav1.GetOptions{ResourceVersion: "0"}}
	return harness.Poll(patience, func() error { return s.ledger.Get(ctx, last, &v1alpha1.RemoteJob{}, fromCache) })
}

// change has podrunner say something new of a job: a container of it was started again.
func (s *synthetic) change(pod *corev1.Pod) error {
	name := filepath.Join(s.directory(pod), "state.json")
	text := content(name)
	var sequence, restarts int
	for field, into := range map[string]*int{`"sequence":`: &sequence, `"restartCount":`: &restarts} {
		_, rest, found := strings.Cut(text, field)
		if _, err := fmt.Sscanf(rest, "%d", into); !found || err != nil {
			return fmt.Errorf("%s has no %s: %s", name, field, text)
		}
	}
	text = strings.Replace(text, fmt.Sprintf(`"sequence":%d`, sequence), fmt.Sprintf(`"sequence":%d`, sequence+1), 1)
	text = replaceLast(text, fmt.Sprintf(`"restartCount":%d`, restarts), fmt.Sprintf(`"restartCount":%d`, restarts+1))
	return errors.Join(os.WriteFile(name+".new", []byte(text), 0o600), os.Rename(name+".new", name))
}

func replaceLast(text, old, with string) string {
	if at := strings.LastIndex(text, old); at >= 0 {
		return text[:at] + with + text[at+len(old):]
	}
	return text
}

// restarts are the restart counts that /status shows, by pod.
func restarts(ctx context.Context, m *manager, pods []*corev1.Pod) (map[string]int32, error) {
	statuses, answer, err := m.Status(ctx, pods...)
	if err != nil || answer.Code != http.StatusOK {
		return nil, fmt.Errorf("/status: %w, %d", err, answer.Code)
	}
	counts := map[string]int32{}
	for i := range statuses {
		for _, c := range statuses[i].Containers {
			counts[statuses[i].UID] += c.RestartCount
		}
	}
	return counts, nil
}
