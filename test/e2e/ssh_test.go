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
	"context"
	"net/url"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

func TestAPodRunsOnAnEngineThatIsReachedBySSH(t *testing.T) {
	s := onShared(t)
	dir, err := os.MkdirTemp("", "rj-e2e-ssh-") //nolint:usetesting // sshd asks for a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := sshd.Start(s.ctx, sshd.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	// The manager's own namespace is where it looks for the Secrets of RemoteBackends.
	const namespace, login = "remotejob-system", "engine-login"
	made := s.ledger.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err := client.IgnoreAlreadyExists(made); err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Create(s.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: login}, Type: corev1.SecretTypeSSHAuth,
		Data: map[string][]byte{corev1.SSHAuthPrivateKey: server.PrivateKey, "known_hosts": server.KnownHosts()},
	}); err != nil {
		t.Fatal(err)
	}
	ref := &corev1.LocalObjectReference{Name: login}
	socket := strings.TrimPrefix(s.engine.Host, "unix://")
	backend := s.ledger.NewBackend(s.ctx, t, "by-ssh", (&url.URL{Scheme: "ssh", User: url.User(me.Username), Host: server.Address, Path: socket}).String(),
		func(b *v1alpha1.RemoteBackend) {
			b.Spec.Docker.SSH = &v1alpha1.SSHConnection{Address: server.Address, User: me.Username, IdentitySecretRef: ref, KnownHostsSecretRef: ref}
		})
	pod := harness.NewPod("by-ssh", backend.Name, harness.Shell("c", "echo there; exit 4"))
	s.run(pod)
	s.exits(s.ended(pod, time.Minute), map[string]int32{"c": 4})
	if got := s.log(pod, "c", harness.LogOpts{}); got != "there\n" {
		t.Errorf("the log is %q", got)
	}
	s.gone(pod, time.Minute)
}
