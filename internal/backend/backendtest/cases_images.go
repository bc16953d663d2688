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
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Images: https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/#notes
func imageCases(s *Suite) []testCase {
	switch {
	case s.NoImages:
		return unknownCommandCases()
	case s.NoEntrypoints:
		return append(unknownCommandCases(), missingImageCases()...)
	case s.Registry.Asked == nil:
		return append(entrypointCases(), missingImageCases()...)
	}
	return slices.Concat(entrypointCases(), missingImageCases(), registryCases())
}

func unknownCommandCases() []testCase {
	return []testCase{
		{name: "a container that names no command is rejected in words, since nobody knows what its image runs", run: func(e *env) {
			p := e.prepare(e.pod("", with(func(c *corev1.Container) { c.Command = nil })), workload.Payload{})
			c := e.connected()
			_, err := c.backend.Submit(c.ctx, p.work)
			if rejected, ok := backend.IsRejected(err); !ok || !strings.Contains(rejected.Message, `"main"`) {
				e.Errorf("it was answered by %v", err)
			}
		}},
	}
}

func entrypointCases() []testCase {
	return []testCase{
		{name: "an image runs by its own entrypoint and arguments", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) { c.Image, c.Command = e.suite.EntrypointImage, nil })), workload.Payload{})
			if got := p.output(); got != "default\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "args replace the image's arguments and keep its entrypoint", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) {
				c.Image, c.Command, c.Args = e.suite.EntrypointImage, nil, []string{"one", "two words"}
			})), workload.Payload{})
			if got := p.output(); got != "one\ntwo words\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "command replaces the image's entrypoint and drops its arguments", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) { c.Image, c.Command = e.suite.EntrypointImage, []string{"echo"} })), workload.Payload{})
			if got := p.output(); got != "\n" {
				e.Errorf("got %q", got)
			}
		}},
	}
}

func missingImageCases() []testCase {
	return []testCase{
		{name: "imagePullPolicy Never with an image that is not there waits with ErrImageNeverPull", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) {
				c.Image, c.ImagePullPolicy = "localhost:1/no/such:image", corev1.PullNever
			})), workload.Payload{})
			p.waiting("ErrImageNeverPull")
		}},
		{name: "an image that can't be pulled waits with the registry's words, and is tried again", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) { c.Image = "localhost:1/no/such:image" })), workload.Payload{})
			if message := p.waiting("ErrImagePull", "ImagePullBackOff"); !strings.Contains(message, "localhost:1/no/such:image") {
				e.Errorf("the message is %q", message)
			}
			p.waiting("ImagePullBackOff")
		}},
	}
}

func registryCases() []testCase {
	return []testCase{
		{name: "an image that is not there is pulled, one that is there again only if imagePullPolicy is Always", run: func(e *env) {
			r := e.suite.Registry
			for i, policy := range []corev1.PullPolicy{corev1.PullIfNotPresent, corev1.PullIfNotPresent, corev1.PullAlways} {
				asked := r.Asked(r.Public)
				p := e.run(e.pod("echo pulled", image(r.Public, policy)), workload.Payload{})
				if got := p.output(); got != "pulled\n" {
					e.Errorf("got %q", got)
				}
				if again := r.Asked(r.Public) > asked; again == (i == 1) && e.kills == nil {
					e.Errorf("pod %d, with policy %s: the registry was asked: %t", i, policy, again)
				}
				s, _ := find(p.decision(), "main")
				if _, digest, _ := strings.Cut(r.Digest, "@"); !strings.Contains(s.ImageID, digest) {
					e.Errorf("the image's ID is %q, want the digest %s in it", s.ImageID, digest)
				}
			}
		}},
		{name: "an image by digest is pulled and run", run: func(e *env) {
			p := e.run(e.pod("echo pulled", image(e.suite.Registry.Digest, corev1.PullAlways)), workload.Payload{})
			if got := p.output(); got != "pulled\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "an image that the registry gets later is pulled when the back-off is over", run: func(e *env) {
			p := e.run(e.pod("echo pulled", image(e.suite.Registry.Late, corev1.PullIfNotPresent)), workload.Payload{})
			if got := p.output(); got != "pulled\n" {
				e.Errorf("got %q", got)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if seen := strings.Join(p.history, "\n"); e.kills == nil && !strings.Contains(seen, "waiting:ErrImagePull") && !strings.Contains(seen, "waiting:ImagePullBackOff") {
				e.Errorf("it never waited for the image: %s", seen)
			}
		}},
		{name: "delete ends a pod whose image is being pulled, or can't be", run: func(e *env) {
			r := e.suite.Registry
			never, stalled := e.run(e.pod("exit 0", image(r.Never, corev1.PullAlways)), workload.Payload{}), e.run(e.pod("exit 0", image(r.Stalled, corev1.PullAlways)), workload.Payload{})
			never.waiting("ImagePullBackOff")
			e.eventually("the image to be pulled", func() (bool, string) { return r.Asked(r.Stalled) > 0, "nobody has asked for it" })
			for _, p := range []*pod{never, stalled} {
				p.ask(time.Second)
				if d := p.end(); d.Phase != corev1.PodFailed || e.terminated(d, "main").ExitCode == 0 {
					e.Errorf("a pod that never ran ended %s, %v", d.Phase, states(d.Containers))
				}
				p.halt()
				p.mustBeRemoved()
				p.mustNotBeThere()
			}
			r.Release()
		}},
		{name: "imagePullSecrets open a registry that takes credentials, and without them the pod waits", run: func(e *env) {
			r := e.suite.Registry
			secret := func(password string) workload.FileData {
				host, _, _ := strings.Cut(r.Private, "/")
				auth := base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + password))
				return workload.FileData{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{"https://%s/v1/":{"auth":%q}}}`, host, auth)}
			}
			pulling := func(names ...string) option {
				return func(p *corev1.Pod) {
					for _, name := range names {
						p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
					}
				}
			}
			payload := workload.Payload{Secrets: map[string]workload.FileData{"good": secret(r.Password), "bad": secret("wrong")}}
			without := e.run(e.pod("exit 0", image(r.Private, corev1.PullAlways)), workload.Payload{})
			without.waiting("ErrImagePull", "ImagePullBackOff")
			wrong := e.run(e.pod("exit 0", image(r.Private, corev1.PullAlways), pulling("bad", "absent")), payload)
			if message := wrong.waiting("ErrImagePull", "ImagePullBackOff"); strings.Contains(message, "wrong") {
				e.Errorf("the message gives the password away: %q", message)
			}
			p := e.run(e.pod("echo pulled", image(r.Private, corev1.PullAlways), pulling("bad", "good")), payload)
			if got := p.output(); got != "pulled\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureImagePullSecrets}},
	}
}

// image gives container main another image.
func image(name string, policy corev1.PullPolicy) option {
	return with(func(c *corev1.Container) { c.Image, c.ImagePullPolicy = name, policy })
}
