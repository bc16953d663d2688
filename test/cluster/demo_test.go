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

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// create sends a pod through the proxy and the Service, as interLink does, and deletes it in the end.
func (s *stage) create(ctx context.Context, t *testing.T, request harness.CreateRequest) harness.Created {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		now := request.Pod.DeepCopy()
		now.DeletionGracePeriodSeconds = new(int64)
		_, _ = s.interlink.Delete(ctx, now)
	})
	created, answer, err := s.interlink.Create(ctx, request.Body(t))
	if err != nil || answer.Code != http.StatusOK || created.PodJID == "" {
		t.Fatalf("/create of pod %s: %v, %d %s", request.Pod.Name, err, answer.Code, answer.Body)
	}
	return created
}

// status asks about one pod. Anything but an answer about that pod is an error.
func (s *stage) status(ctx context.Context, pod *corev1.Pod) (harness.PodStatus, error) {
	list, answer, err := s.interlink.Status(ctx, pod)
	switch {
	case err != nil:
		return harness.PodStatus{}, err
	case answer.Code != http.StatusOK || len(list) != 1 || list[0].UID != string(pod.UID):
		return harness.PodStatus{}, fmt.Errorf("/status of pod %s: %d %s", pod.Name, answer.Code, answer.Body)
	}
	return list[0], nil
}

func (s *stage) ended(ctx context.Context, t *testing.T, pod *corev1.Pod) harness.PodStatus {
	t.Helper()
	var last harness.PodStatus
	harness.Eventually(t, time.Minute, "pod "+pod.Name+" ends", func() (err error) {
		if last, err = s.status(ctx, pod); err == nil && !last.Ended() {
			err = fmt.Errorf("it has not: %+v", last.Containers)
		}
		return err
	})
	return last
}

// gone deletes the pod, and waits until nothing is left of it.
func (s *stage) gone(ctx context.Context, t *testing.T, pod *corev1.Pod) {
	t.Helper()
	job := s.ledger.MustJob(ctx, t, pod)
	answer, err := s.interlink.Delete(ctx, pod)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/delete of pod %s: %v, %d %s", pod.Name, err, answer.Code, answer.Body)
	}
	harness.Eventually(t, time.Minute, "nothing is left of pod "+pod.Name, func() error {
		if err := s.ledger.Gone(ctx, pod, job.Spec.PayloadSecretNames); err != nil {
			return err
		}
		left, err := harness.Left(ctx, s.engine.Client, s.ledger.Token(pod))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the engine still holds %v", left)
		}
		return err
	})
}

func TestPodsRunThroughTheServiceFromTheirCallToTheirEnd(t *testing.T) {
	s, ctx := onSite(t), harness.Context(t)
	succeeds := harness.NewPod("succeeds", backend, harness.Shell("main", `echo "hello from $WHO"`))
	succeeds.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "WHO", Value: "a pod"}}
	fails := harness.NewPod("fails", backend, harness.Shell("main", "echo 'no such file' >&2; exit 3"))
	for _, c := range []struct {
		request harness.CreateRequest
		exits   map[string]int32
		logs    map[string]string
	}{
		{harness.Request(succeeds), map[string]int32{"main": 0}, map[string]string{"main": "hello from a pod"}},
		{talking(), map[string]int32{"server": 0, "client": 0}, map[string]string{"client": "a page out of a ConfigMap\na password of 28 characters"}},
		{harness.Request(fails), map[string]int32{"main": 3}, map[string]string{"main": "no such file"}},
	} {
		pod := c.request.Pod
		t.Run(pod.Name, func(t *testing.T) {
			s.create(ctx, t, c.request)
			status := s.ended(ctx, t, pod)
			for name, code := range c.exits {
				if got := status.Exit(name); got != code {
					t.Errorf("container %s ended with code %d, want %d", name, got, code)
				}
			}
			for name, words := range c.logs {
				log, err := s.interlink.Logs(ctx, pod, name, harness.LogOpts{})
				if err != nil || log.Code != http.StatusOK || !strings.Contains(string(log.Body), words) {
					t.Errorf("the log of %s: %v, %d %q, want %q in it", name, err, log.Code, log.Body, words)
				}
			}
			s.gone(ctx, t, pod)
		})
	}
}

// talking is a pod of two containers that share localhost and a volume, with a ConfigMap and a Secret.
func talking() harness.CreateRequest {
	server := harness.Shell("server", "httpd -p 127.0.0.1:8080 -h /site; until [ -e /shared/done ]; do sleep 0.2; done")
	server.VolumeMounts = []corev1.VolumeMount{{Name: "site", MountPath: "/site"}, {Name: "shared", MountPath: "/shared"}}
	asks := harness.Shell("client", `until wget -q -O - http://127.0.0.1:8080/index.html; do sleep 0.2; done
echo "a password of $(wc -c </secret/password) characters"; touch /shared/done`)
	asks.VolumeMounts = []corev1.VolumeMount{{Name: "secret", MountPath: "/secret"}, {Name: "shared", MountPath: "/shared"}}
	pod := harness.NewPod("talks", backend, server, asks)
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "site", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "site"}}}},
		{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "login"}}},
		{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	site := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "site", Namespace: pod.Namespace}, Data: map[string]string{"index.html": "a page out of a ConfigMap\n"}}
	login := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "login", Namespace: pod.Namespace}, Data: map[string][]byte{"password": []byte("correct horse battery staple")}}
	return harness.Request(pod).With("server", []corev1.ConfigMap{site}, nil).With("client", nil, []corev1.Secret{login})
}
