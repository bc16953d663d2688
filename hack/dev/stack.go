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
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

const (
	// The ServiceAccount of config/dev, whose rights the manager has here, too.
	managerNamespace = "remotejob-system"
	managerAccount   = "remotejob-controller-manager"

	// Pods come from namespaces that this control plane does not have; their RemoteJobs go here.
	ledgerNamespace = "default"

	managerGrace = 20 * time.Second
	readyWithin  = time.Minute
)

// stack is a control plane with the project's resources in it, a site as its RemoteBackend, and a manager.
type stack struct {
	*controlplane.ControlPlane

	// interlink speaks to the manager's endpoint.
	interlink *harness.InterLink
	manager   *process.Process

	root   string
	client client.Client

	// backend is the name of the RemoteBackend, site what is behind it, and image what the demo's pods run there.
	backend string
	site    site
	image   string
}

// bringUp starts everything up to the manager. What it started is taken down by c.
func bringUp(ctx context.Context, root, files string, opts controlplane.Options, c *cleanup) (*stack, error) {
	name, err := backendName()
	if err != nil {
		return nil, err
	}
	place, err := findSite(ctx, name, root, files, c)
	if err != nil {
		return nil, err
	}
	say("starting etcd and kube-apiserver")
	cp, err := controlplane.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.add(cp.Stop)
	s := &stack{ControlPlane: cp, root: root, backend: name, site: place}

	say("installing what is in config/dev: the kinds, the manager's rights, the admission policies")
	if err := s.quietly(cp.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "config", "dev"))); err != nil {
		return nil, err
	}
	if err := s.quietly(cp.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s",
		"crd/remotejobs.remotejob.dev", "crd/remotebackends.remotejob.dev")); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	if s.client, err = client.New(cp.Config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := s.makeBackend(ctx); err != nil {
		return nil, err
	}

	s.image, err = place.load(ctx)
	return s, err
}

// quietly runs a command and shows what it said only when it failed.
func (s *stack) quietly(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// makeBackend makes the RemoteBackend; one that is there from an earlier run stays as it is.
func (s *stack) makeBackend(ctx context.Context) error {
	rb := &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: s.backend},
		Spec:       s.site.spec(),
	}
	if err := s.client.Create(ctx, rb); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make RemoteBackend %s: %w", s.backend, err)
	}
	return nil
}

// startManager starts bin/manager with the rights of its ServiceAccount, and returns when its endpoint and its backend are ready.
func (s *stack) startManager(ctx context.Context, address string, out io.Writer, c *cleanup) error {
	cfg, err := s.ConfigFor("system:serviceaccount:"+managerNamespace+":"+managerAccount,
		"system:serviceaccounts", "system:serviceaccounts:"+managerNamespace, "system:authenticated")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(s.Dir, "manager.kubeconfig")
	if err := harness.WriteKubeconfig(cfg, kubeconfig); err != nil {
		return err
	}
	bin := filepath.Join(s.root, "bin")
	cmd := exec.Command(filepath.Join(bin, "manager"),
		"--plugin-bind-address="+address, "--default-backend="+s.backend, "--ledger-namespace="+ledgerNamespace,
		"--podrunner="+filepath.Join(bin, "podrunner"), "--metrics-bind-address=0", "--health-probe-bind-address=0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE="+managerNamespace)
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.site.manager(cmd, kubeconfig); err != nil {
		return err
	}
	if s.manager, err = process.Start(cmd); err != nil {
		return err
	}
	c.add(func(ctx context.Context) error { return s.manager.Stop(ctx, managerGrace) })
	s.interlink = harness.NewInterLink(address)

	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := s.until(ctx, s.endpointReady); err != nil {
		return fmt.Errorf("the manager's endpoint %s is not ready: %w", address, err)
	}
	if err := s.until(ctx, s.backendReady); err != nil {
		return fmt.Errorf("RemoteBackend %s is not ready: %w", s.backend, err)
	}
	return nil
}

// until asks until the condition returns nil, and returns its last words when ctx or the manager ends before.
func (s *stack) until(ctx context.Context, condition func(context.Context) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-s.manager.Done():
			return fmt.Errorf("the manager ended: %w", errors.Join(s.manager.Err(), last))
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		}
	}
}

func (s *stack) endpointReady(ctx context.Context) error {
	answer, err := s.interlink.Do(ctx, http.MethodGet, "/readyz", nil)
	if err == nil && answer.Code != http.StatusOK {
		err = fmt.Errorf("/readyz answers %d: %s", answer.Code, bytes.TrimSpace(answer.Body))
	}
	return err
}

func (s *stack) backendReady(ctx context.Context) error {
	var rb v1alpha1.RemoteBackend
	if err := s.client.Get(ctx, client.ObjectKey{Name: s.backend}, &rb); err != nil {
		return err
	}
	ready := meta.FindStatusCondition(rb.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return errors.New("it has no condition yet")
	}
	if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != rb.Generation {
		return fmt.Errorf("%s: %s", ready.Reason, ready.Message)
	}
	return nil
}
