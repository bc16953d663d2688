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
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
)

// labelPayloadOf is on payload Secrets, and names their RemoteJob.
const labelPayloadOf = "remotejob.dev/payload-of"

// marker ends the name of the volume that says that a job is over.
const marker = "_done"

// surveyor looks again and again at everything that holds anything of pods.
type surveyor struct {
	stage *stage

	mu   sync.Mutex
	seen *survey
}

// survey is one look. It began at a moment, and everything in it was there later.
type survey struct {
	began history.Moment
	// byToken and byUID are what there is of a pod, in words.
	byToken, byUID map[string][]string
	// idle are volumes that no container of their pod uses and whose pod has its marker: they go, or are those that the engine can't remove.
	idle []string
	// orphans are payload Secrets that no RemoteJob lists.
	orphans int
}

// of is all that there is of a pod.
func (s *survey) of(token, uid string) []string { return append(s.byToken[token], s.byUID[uid]...) }

// all is everything there is.
func (s *survey) all() []string {
	var all []string
	for _, m := range []map[string][]string{s.byToken, s.byUID} {
		for who, what := range m {
			all = append(all, fmt.Sprintf("of %s: %s", who, strings.Join(what, ", ")))
		}
	}
	return all
}

// run looks about once a second until the context ends. A look that fails says nothing.
func (v *surveyor) run(ctx context.Context) {
	for wait(ctx, time.Second) {
		if s, err := v.look(ctx); err == nil {
			v.mu.Lock()
			v.seen = s
			v.mu.Unlock()
		}
	}
}

func (v *surveyor) last() *survey {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

func (v *surveyor) look(ctx context.Context) (*survey, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s := &survey{began: v.stage.clock.now(), byToken: map[string][]string{}, byUID: map[string][]string{}}
	for _, look := range []func(context.Context, *survey) error{v.ledger, v.queue, v.base, v.engine} {
		if err := look(ctx, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (v *surveyor) ledger(ctx context.Context, s *survey) error {
	var jobs v1alpha1.RemoteJobList
	if err := v.stage.ledger.List(ctx, &jobs, crclient.InNamespace(namespace)); err != nil {
		return err
	}
	owners := map[string]string{}
	for _, job := range jobs.Items {
		uid := string(job.Spec.PodRef.UID)
		// A deletion that came before its create is kept for ten minutes, and owns no Secrets.
		if tombstone := job.Spec.Cancel && len(job.Spec.Template.Spec.Containers) == 0; !tombstone {
			owners[job.Name] = uid
			s.byUID[uid] = append(s.byUID[uid], describeJob(&job))
		}
	}
	var secrets corev1.SecretList
	if err := v.stage.ledger.List(ctx, &secrets, crclient.InNamespace(namespace), crclient.HasLabels{labelPayloadOf}); err != nil {
		return err
	}
	for _, secret := range secrets.Items {
		if uid, ok := owners[secret.Labels[labelPayloadOf]]; ok {
			s.byUID[uid] = append(s.byUID[uid], "Secret "+secret.Name)
		} else {
			s.orphans++ // they are swept after ten minutes
		}
	}
	return nil
}

func describeJob(job *v1alpha1.RemoteJob) string {
	conditions := ""
	for _, c := range job.Status.Conditions {
		conditions += fmt.Sprintf(" %s=%s (%s: %s)", c.Type, c.Status, c.Reason, c.Message)
	}
	return fmt.Sprintf("RemoteJob %s, %s %s, job %q, cancel %v, deleted %v, finalizers %v,%s",
		job.Name, job.Status.Phase, job.Status.Reason, job.Status.JobID, job.Spec.Cancel, job.DeletionTimestamp != nil, job.Finalizers, conditions)
}

func (v *surveyor) queue(ctx context.Context, s *survey) error {
	out, err := v.stage.cluster.Command(ctx, "squeue", "--noheader", "--format=%j %A %T").Output()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) == 3 {
			s.byToken[words[0]] = append(s.byToken[words[0]], "job "+words[1]+" "+words[2])
		}
	}
	return nil
}

func (v *surveyor) base(_ context.Context, s *survey) error {
	for _, backend := range v.stage.backends() {
		if backend == string(plan.Docker) {
			continue
		}
		for _, dir := range []string{"jobs", "out"} {
			entries, err := os.ReadDir(filepath.Join(v.stage.base(backend), dir))
			if err != nil {
				return err
			}
			for _, e := range entries {
				token := strings.TrimSuffix(e.Name(), ".out")
				s.byToken[token] = append(s.byToken[token], "file "+filepath.Join(backend, dir, e.Name()))
			}
		}
	}
	return nil
}

func (v *surveyor) engine(ctx context.Context, s *survey) error {
	if v.stage.engine == nil {
		return nil
	}
	c := v.stage.engine.Client
	containers, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	tokenOf := func(name string) string {
		token, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "_")
		if parts := strings.SplitN(token, "-", 3); len(parts) > 1 && parts[0] == "rj" {
			token = "rj-" + parts[1]
		}
		return token
	}
	used, marked := map[string]bool{}, map[string]bool{}
	for _, item := range containers.Items {
		token := tokenOf(item.Names[0])
		used[token] = true
		s.byToken[token] = append(s.byToken[token], "container "+item.Names[0])
	}
	volumes, err := c.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return err
	}
	for _, item := range volumes.Items {
		marked[tokenOf(item.Name)] = marked[tokenOf(item.Name)] || strings.HasSuffix(item.Name, marker)
	}
	for _, item := range volumes.Items {
		switch token := tokenOf(item.Name); {
		case strings.HasSuffix(item.Name, marker):
		case marked[token] && !used[token]:
			s.idle = append(s.idle, item.Name)
		default:
			s.byToken[token] = append(s.byToken[token], "volume "+item.Name)
		}
	}
	return nil
}
