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
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
	"github.com/remotejob-dev/remotejob-operator/test/harness/cluster"
)

const (
	namespace  = "remotejob-system"
	deployment = "remotejob-controller-manager"
	service    = "remotejob-plugin"
	certSecret = "remotejob-plugin-tls"
	backend    = "engine"
	caller     = "interlink"
)

// stage is a cluster with the operator in it, an engine outside of it that the operator reaches by TLS, and a proxy outside of it as beside
// interLink, which reaches the operator by its Service.
type stage struct {
	*cluster.Cluster
	ledger *harness.Ledger
	kube   *kubernetes.Clientset
	engine *harness.Dockerd
	// interlink speaks through the proxy.
	interlink *harness.InterLink
	// authority is that of the endpoint's certificate, token the caller's.
	authority []byte
	token     string
	dir       string
	proxyLog  string

	steps  []func() error
	backed sync.Once
}

// onSite returns the stage with its backend.
func onSite(t *testing.T) *stage {
	t.Helper()
	site.backed.Do(func() { site.makeBackend(harness.Context(t), t) })
	return site
}

func newStage(ctx context.Context) (s *stage, err error) {
	s = &stage{}
	for _, step := range []func(context.Context) error{s.startCluster, s.startEngine, s.install, s.reach} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stage) close() error {
	var errs []error
	for i := len(s.steps) - 1; i >= 0; i-- {
		errs = append(errs, s.steps[i]())
	}
	return errors.Join(errs...)
}

func (s *stage) startCluster(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "rj-e2e-"); err != nil {
		return err
	}
	s.steps = append(s.steps, func() error { return os.RemoveAll(s.dir) })
	began := time.Now()
	if err := os.RemoveAll(logs()); err != nil {
		return err
	}
	if s.Cluster, err = cluster.Start(ctx, cluster.Options{Logs: logs()}); err != nil {
		return err
	}
	s.steps = append(s.steps, func() error { return s.Stop(context.Background()) })
	say("the node is ready after %s", time.Since(began).Round(time.Second))
	if s.kube, err = kubernetes.NewForConfig(s.Config); err != nil {
		return err
	}
	image, err := os.Open(*archive)
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	return s.Import(ctx, image)
}

// startEngine starts an engine that pods of the cluster reach.
func (s *stage) startEngine(ctx context.Context) error {
	image, err := harness.BusyboxImage()
	if err != nil {
		return err
	}
	if s.engine, err = harness.StartDockerd(ctx, image); err != nil {
		return err
	}
	s.steps = append(s.steps, func() error { s.engine.Close(); return nil })
	return nil
}

// install does what docs/install.md says.
func (s *stage) install(ctx context.Context) (err error) {
	began := time.Now()
	overlay := filepath.Join(harness.Root(), "bin", "test", "cluster")
	if out, err := exec.CommandContext(ctx, filepath.Join(harness.Root(), "hack", "kustomization.sh"), overlay, "config/default", *name).CombinedOutput(); err != nil {
		return fmt.Errorf("name the image: %w: %s", err, out)
	}
	if err := s.kubectl(ctx, "apply", "-k", overlay); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "-n", namespace, "rollout", "status", "deployment/"+deployment, "--timeout=5m"); err != nil {
		return err
	}
	say("two replicas are ready after %s", time.Since(began).Round(time.Second))
	s.ledger, err = harness.NewLedger(ctx, s.Config)
	return err
}

// makeBackend makes a RemoteBackend of the engine, which shows a certificate and wants one.
func (s *stage) makeBackend(ctx context.Context, t *testing.T) {
	t.Helper()
	authority := certs.NewAuthority(t, "engines")
	pair, identity := authority.Server("engine", s.Host), authority.Client("manager")
	front, err := harness.NewEngineTLS(net.JoinHostPort(s.Host.String(), "0"), s.engine.Host, &tls.Config{
		Certificates: []tls.Certificate{pair.TLS(t)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(), MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.steps = append(s.steps, func() error { front.Close(); return nil })
	err = s.ledger.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "engine-tls"},
		Data:       map[string][]byte{"tls.crt": identity.Cert, "tls.key": identity.Key, "ca.crt": authority.PEM},
	})
	if err == nil {
		err = s.ledger.Create(ctx, &v1alpha1.RemoteBackend{
			ObjectMeta: metav1.ObjectMeta{Name: backend},
			Spec: v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{
				Host: front.Host, TLSSecretRef: &corev1.LocalObjectReference{Name: "engine-tls"},
			}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, "the backend is ready", func() error { return s.ledger.BackendReady(ctx, backend, metav1.ConditionTrue) })
}

// reach gives a caller what it needs, and starts the proxy with it.
func (s *stage) reach(ctx context.Context) error {
	var held corev1.Secret
	if err := s.ledger.Get(ctx, client.ObjectKey{Namespace: namespace, Name: certSecret}, &held); err != nil {
		return err
	}
	s.authority = held.Data["ca.crt"]
	if err := s.makeCaller(ctx, caller, true); err != nil {
		return err
	}
	var err error
	if s.token, err = s.tokenOf(ctx, caller); err != nil {
		return err
	}
	ca, token, socket := filepath.Join(s.dir, "ca.crt"), filepath.Join(s.dir, "token"), "unix://"+filepath.Join(s.dir, "plugin.sock")
	if err := errors.Join(os.WriteFile(ca, s.authority, 0o600), os.WriteFile(token, []byte(s.token), 0o600)); err != nil {
		return err
	}
	address, err := s.address(ctx)
	if err != nil {
		return err
	}
	binaries, err := harness.Build("cluster")
	if err != nil {
		return err
	}
	s.proxyLog = filepath.Join(logs(), "proxy.log")
	proxy, err := harness.Start("proxy", s.proxyLog, nil, binaries.Manager, "proxy", "--plugin-bind-address="+socket,
		"--upstream=https://"+address, "--upstream-server-name="+serverName, "--upstream-ca-file="+ca, "--upstream-token-file="+token)
	if err != nil {
		return err
	}
	s.steps = append(s.steps, func() error { return proxy.Stop(context.Background(), 20*time.Second) })
	s.interlink = harness.NewInterLink(socket)
	return harness.Poll(time.Minute, func() error {
		answer, err := s.interlink.Do(ctx, http.MethodGet, "/readyz", nil)
		if err == nil && answer.Code != http.StatusOK {
			err = fmt.Errorf("/readyz through the Service: %d %s", answer.Code, answer.Body)
		}
		return err
	})
}

const serverName = service + "." + namespace + ".svc"

// address is that of the endpoint's Service.
func (s *stage) address(ctx context.Context) (string, error) {
	var svc corev1.Service
	err := s.ledger.Get(ctx, client.ObjectKey{Namespace: namespace, Name: service}, &svc)
	return net.JoinHostPort(svc.Spec.ClusterIP, "4000"), err
}

// makeCaller makes a ServiceAccount, which may call the endpoint or not.
func (s *stage) makeCaller(ctx context.Context, name string, may bool) error {
	if err := s.ledger.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}); err != nil || !may {
		return err
	}
	return s.ledger.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "remotejob-plugin-caller"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}},
	})
}

func (s *stage) tokenOf(ctx context.Context, account string) (string, error) {
	request, err := s.kube.CoreV1().ServiceAccounts("default").CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

func (s *stage) kubectl(ctx context.Context, args ...string) error {
	if out, err := s.Kubectl(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %v: %w: %s", args, err, out)
	}
	return nil
}

// explain prints what is known of the cluster when a test has failed.
func (s *stage) explain() {
	if s.Cluster == nil || s.ControlPlane == nil {
		return
	}
	for _, args := range [][]string{
		{"get", "nodes,pods,deployments,remotejobs,remotebackends", "--all-namespaces", "--output=wide"},
		{"get", "events", "--all-namespaces"},
		{"-n", namespace, "describe", "pods"},
		{"-n", namespace, "logs", "deployment/" + deployment, "--all-pods", "--tail=60", "--prefix"},
	} {
		out, err := s.Kubectl(context.Background(), args...).CombinedOutput()
		fmt.Fprintf(os.Stderr, "kubectl %v: %v\n%s\n", args, err, out)
	}
}

func say(format string, args ...any) { fmt.Printf("cluster: "+format+"\n", args...) }
