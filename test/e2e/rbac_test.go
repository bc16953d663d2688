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
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// Names of what config/dev and config/default install.
const (
	installedNamespace = "remotejob-system"
	installedAccount   = "remotejob-controller-manager"
)

// audited is a control plane that writes down what the manager's ServiceAccount asks of it.
type audited struct {
	world
	log    string
	client kubernetes.Interface
}

func newAudited(t *testing.T, config string) *audited {
	t.Helper()
	dir := t.TempDir()
	a := &audited{log: filepath.Join(dir, "audit.log")}
	policy := filepath.Join(dir, "audit.yaml")
	text := fmt.Sprintf("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- {level: Metadata, users: [%q]}\n- {level: None}\n",
		"system:serviceaccount:"+installedNamespace+":"+installedAccount)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := harness.Context(t)
	plane, err := controlplane.Start(ctx, controlplane.Options{APIServerFlags: []string{"--audit-policy-file=" + policy, "--audit-log-path=" + a.log}})
	if err != nil {
		t.Fatal(err)
	}
	a.world = world{plane: plane}
	t.Cleanup(a.stop)
	if out, err := plane.Kubectl(ctx, "apply", "--server-side", "-k", filepath.Join(harness.Root(), "config", config)).CombinedOutput(); err != nil {
		t.Fatalf("install config/%s: %v\n%s", config, err, out)
	}
	if a.ledger, err = harness.NewLedger(ctx, plane.Config); err != nil {
		t.Fatal(err)
	}
	a.client = kubernetes.NewForConfigOrDie(plane.Config)
	return a
}

// as returns the access of a ServiceAccount, by a token of it and nothing else.
func (a *audited) as(t *testing.T, namespace, name string) *rest.Config {
	t.Helper()
	request, err := a.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{Host: a.plane.Config.Host, TLSClientConfig: rest.TLSClientConfig{CAData: a.plane.Config.CAData}, BearerToken: request.Status.Token, QPS: -1}
}

// caller makes a ServiceAccount that has a ClusterRole, and returns its token.
func (a *audited) caller(t *testing.T, role string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: role}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-" + role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: role}},
	}
	for _, object := range []client.Object{account, binding} {
		if err := a.ledger.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return a.as(t, "default", role).BearerToken
}

// asked is something that the manager asked of the API server: verb, group and resource with its subresource.
type asked struct{ verb, group, resource string }

// read returns what was asked, how often, and complains of what was forbidden.
func (a *audited) read(t *testing.T) map[asked]int {
	t.Helper()
	file, err := os.Open(a.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	out := map[asked]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, RequestURI string
			ObjectRef        struct{ APIGroup, Resource, Subresource, Namespace, Name string }
			ResponseStatus   struct{ Code int }
			Annotations      map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("the audit log: %v: %s", err, lines.Bytes())
		}
		if event.Annotations["authorization.k8s.io/decision"] != "allow" || event.ResponseStatus.Code == http.StatusForbidden {
			t.Errorf("forbidden: %s %s (%s)", event.Verb, event.RequestURI, event.Annotations["authorization.k8s.io/reason"])
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		out[asked{event.Verb, event.ObjectRef.APIGroup, resource}]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// granted is what the ServiceAccount's roles let it do.
func (a *audited) granted(t *testing.T) []asked {
	t.Helper()
	isOurs := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
			return s.Kind == "ServiceAccount" && s.Namespace == installedNamespace && s.Name == installedAccount
		})
	}
	var rules []rbacv1.PolicyRule
	add := func(namespace string, ref rbacv1.RoleRef) {
		if ref.Kind == "Role" {
			role, err := a.client.RbacV1().Roles(namespace).Get(t.Context(), ref.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, role.Rules...)
			return
		}
		role, err := a.client.RbacV1().ClusterRoles().Get(t.Context(), ref.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, role.Rules...)
	}
	clusterwide, err := a.client.RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range clusterwide.Items {
		if isOurs(b.Subjects) {
			add("", b.RoleRef)
		}
	}
	namespaced, err := a.client.RbacV1().RoleBindings("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range namespaced.Items {
		if isOurs(b.Subjects) {
			add(b.Namespace, b.RoleRef)
		}
	}
	var out []asked
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					out = append(out, asked{verb, group, resource})
				}
			}
		}
	}
	if len(out) < 20 {
		t.Fatalf("the roles grant %v only", out)
	}
	return out
}

// withToken shows a token with each call.
type withToken struct{ token string }

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.token)
	return http.DefaultTransport.RoundTrip(r)
}

// TestTheManagersRightsAreThoseThatItUsesAndNoOthers has jobs lead their lives under a manager that has nothing but the token of its
// ServiceAccount.
func TestTheManagersRightsAreThoseThatItUsesAndNoOthers(t *testing.T) {
	t.Parallel()
	a := newAudited(t, "dev")
	livesUnder(t, a, "default")
	a.exactly(t)
}

// TestInOneNamespaceTheManagerNeedsRightsInNoOther has the same jobs under the rights of config/namespaced. Events about RemoteBackends are
// all that it has to do in another namespace.
func TestInOneNamespaceTheManagerNeedsRightsInNoOther(t *testing.T) {
	t.Parallel()
	a := newAudited(t, "namespaced")
	livesUnder(t, a, installedNamespace, "--watch-namespaces="+installedNamespace, "--ledger-namespace="+installedNamespace)
	a.exactly(t)
}

// whenAnEventIsRepeated is a right that a short life has no use for: the second event of a kind within some minutes changes the first.
var whenAnEventIsRepeated = asked{verb: "patch", group: "events.k8s.io", resource: "events"}

// exactly fails the test unless what was granted is what was used.
func (a *audited) exactly(t *testing.T) {
	t.Helper()
	used := a.read(t)
	for _, right := range a.granted(t) {
		if used[right] == 0 && right != whenAnEventIsRepeated {
			t.Errorf("a right that is never used: %s %s %s", right.verb, right.resource, right.group)
		}
	}
	for what := range used {
		if what.resource == "secrets" && what.verb == "watch" {
			t.Error("Secrets are watched")
		}
	}
}

// livesUnder goes through all that a manager does, with a manager that has the rights of its ServiceAccount.
func livesUnder(t *testing.T, a *audited, namespace string, flags ...string) {
	t.Helper()
	metrics, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	token, reader := a.caller(t, "remotejob-plugin-caller"), a.caller(t, "remotejob-metrics-reader")
	manager := func(env string, args ...string) *harness.Manager {
		m, err := harness.NewManager(t.TempDir(), harness.ManagerOptions{
			Binaries: shared.binaries, Config: a.as(t, installedNamespace, installedAccount),
			Args: slices.Concat([]string{"--leader-elect", "--plugin-token-review"}, flags, args), Env: []string{"POD_NAMESPACE=" + installedNamespace, env},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.HTTP.Transport = withToken{token}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the manager's last words:\n%s", m.Tail(60))
			}
		})
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		if err := m.WaitReady(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := manager("", "--metrics-bind-address="+metrics)
	s := &side{t: t, ctx: harness.Context(t), manager: first, ledger: a.ledger, engine: shared.engine}
	backend := a.ledger.NewBackend(s.ctx, t, "rbac", shared.engine.Host)
	scrape(t, metrics, reader, http.StatusOK)
	scrape(t, metrics, token, http.StatusForbidden)

	// A pod's life, with what may be secret.
	c := harness.Shell("c", "cat /secret/key; exit 3")
	c.VolumeMounts = []corev1.VolumeMount{{Name: "s", MountPath: "/secret"}}
	pod := harness.NewPod("life", backend.Name, c)
	pod.Namespace = namespace
	pod.Spec.Volumes = []corev1.Volume{{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}}
	s.create(harness.Request(pod).With("c", nil, []corev1.Secret{secret("s", map[string][]byte{"key": []byte("value")})}))
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 3})
	if got := s.log(pod, "c", harness.LogOpts{}); got != "value" {
		t.Errorf("the log is %q", got)
	}
	s.gone(pod, longTime)
	if len(flags) > 0 {
		// Pods of other namespaces are kept in this one.
		foreign := harness.NewPod("foreign", backend.Name, harness.Shell("c", "exit 2"))
		s.create(harness.Request(foreign))
		s.exits(s.ended(foreign, longTime), map[string]int32{"c": 2})
	}
	early := harness.NewPod("early", backend.Name, harness.Shell("c", "true"))
	early.Namespace = namespace
	if answer, err := s.manager.Delete(s.ctx, early); err != nil || answer.Code != http.StatusOK {
		t.Errorf("a /delete before its /create: %v, %d %s", err, answer.Code, answer.Body)
	}

	// Jobs written by hand: one whose ConfigMap and Secret are the namespace's and which goes by itself, one that is refused.
	s.readsItsNamespace(backend.Name, namespace)
	refused := s.write(backend.Name, namespace, func(job *v1alpha1.RemoteJob) { job.Spec.Template.Spec.HostNetwork = true })
	s.jobIn(refused, v1alpha1.PhaseFailed)
	if err := a.ledger.Delete(s.ctx, refused); err != nil {
		t.Fatal(err)
	}

	// The leader goes, and another takes over. It lists as clients do where API servers can't stream lists.
	second := manager("KUBE_FEATURE_WatchListClient=false", "--metrics-bind-address=0")
	if err := first.Stop(longTime); err != nil {
		t.Fatal(err)
	}
	s.manager = second
	next := harness.NewPod("next", backend.Name, harness.Shell("c", "exit 0"))
	next.Namespace = namespace
	s.create(harness.Request(next))
	s.exits(s.ended(next, longTime), map[string]int32{"c": 0})
	s.gone(next, longTime)
	if err := a.ledger.Delete(s.ctx, backend); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "a deleted RemoteBackend is gone", func() error {
		var list v1alpha1.RemoteBackendList
		err := a.ledger.List(s.ctx, &list)
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d are left", len(list.Items))
		}
		return err
	})
	if err := second.Stop(longTime); err != nil {
		t.Fatal(err)
	}
}

// scrape reads the metrics.
func scrape(t *testing.T, address, token string, want int) {
	t.Helper()
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // the certificate is one that was made up
	}}
	harness.Eventually(t, longTime, "the metrics", func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", http.NoBody)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := c.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			return fmt.Errorf("they are answered %s", response.Status)
		}
		return nil
	})
}

// write makes a RemoteJob as a person does.
func (s *side) write(backend, namespace string, change func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	s.t.Helper()
	job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{GenerateName: "by-hand-", Namespace: namespace}, Spec: v1alpha1.RemoteJobSpec{BackendName: backend}}
	job.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{harness.Shell("c", "exit 0")}}
	change(job)
	if err := s.ledger.Create(s.ctx, job); err != nil {
		s.t.Fatal(err)
	}
	return job
}

// readsItsNamespace has a job read a ConfigMap and a Secret, and go by itself a second after its end.
func (s *side) readsItsNamespace(backend, namespace string) {
	s.t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "config"}, Data: map[string]string{"key": "a"}}
	sec := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "secret"}, Data: map[string][]byte{"key": []byte("b")}}
	for _, object := range []client.Object{cm, sec} {
		if err := s.ledger.Create(s.ctx, object); err != nil {
			s.t.Fatal(err)
		}
	}
	var uid types.UID
	job := s.write(backend, namespace, func(job *v1alpha1.RemoteJob) {
		c := harness.Shell("c", `[ "$A$B" = ab ]`)
		c.Env = []corev1.EnvVar{
			{Name: "A", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}, Key: "key"}}},
			{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}, Key: "key"}}},
		}
		job.Spec.Template.Spec.Containers = []corev1.Container{c}
	})
	uid = job.UID
	s.jobIn(job, v1alpha1.PhaseSucceeded)
	if err := s.ledger.Patch(s.ctx, job, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"ttlSecondsAfterFinished":1}}`))); err != nil {
		s.t.Fatal(err)
	}
	harness.Eventually(s.t, longTime, "the job goes by itself", func() error {
		err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job)
		if err == nil && job.UID == uid {
			return fmt.Errorf("it is there")
		}
		return ignoreNotFound(err)
	})
	if strings.Contains(s.manager.Lines("orbidden"), "orbidden") {
		s.t.Errorf("the manager was forbidden something:\n%s", s.manager.Lines("orbidden"))
	}
}
