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

package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi/gate"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// account makes a ServiceAccount and returns a token of it.
func account(t *testing.T, c kubernetes.Interface, name string, audiences ...string) string {
	t.Helper()
	_, err := c.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	request, err = c.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// letCall lets a ServiceAccount call a path.
func letCall(t *testing.T, c kubernetes.Interface, name string, verb string, paths ...string) {
	t.Helper()
	_, err := c.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: paths, Verbs: []string{verb}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: name}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func reviewer(t *testing.T, config *rest.Config, audiences ...string) *gate.Reviewer {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gate.NewReviewer(config, client, audiences)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheAPIServerSaysWhoseATokenIsAndWhatItsOwnerMayCall(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Stop(context.Background()) })
	c := kubernetes.NewForConfigOrDie(plane.Config)
	may, mayNot, forOthers := account(t, c, "may"), account(t, c, "may-not"), account(t, c, "for-others", "others")
	forUs := account(t, c, "for-us", "remotejob")
	letCall(t, c, "may", "get", "/status", "/getLogs")
	letCall(t, c, "for-others", "get", "/status")
	letCall(t, c, "for-us", "get", "/status")

	g := gate.New(gate.Options{Reviewer: reviewer(t, plane.Config), Rate: 1000, Burst: 1000})
	harness.Eventually(t, 30*time.Second, "its role holds", func() error { return g.Admit(call("/status", with("Bearer "+may), from("127.0.0.1"))) })
	for name, c := range map[string]struct {
		token, path string
		want        int
		words       string
	}{
		"what its role lets it call":  {may, "/status", 0, ""},
		"what its role does not name": {may, "/create", 403, "system:serviceaccount:default:may"},
		"the verb is another":         {may, "/delete", 403, "post /delete"},
		"nobody's role":               {mayNot, "/status", 403, "nonResourceURL"},
		"a token for somebody else":   {forOthers, "/status", 401, ""},
		"a token that is none":        {"0123456789abcdef", "/status", 401, ""},
		"a token that was changed":    {may[:len(may)-4] + "AAAA", "/status", 401, ""},
		"no token":                    {"", "/status", 401, "bearer token"},
	} {
		err := g.Admit(call(c.path, with("Bearer "+c.token)))
		if got := denied(t, err); got != c.want || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %d %v, want %d", name, got, err, c.want)
		}
	}
	ours := gate.New(gate.Options{Reviewer: reviewer(t, plane.Config, "remotejob")})
	harness.Eventually(t, 30*time.Second, "a token for the audience is taken", func() error {
		return ours.Admit(call("/status", with("Bearer "+forUs), from("127.0.0.1")))
	})
	if got := denied(t, ours.Admit(call("/status", with("Bearer "+may)))); got != 401 {
		t.Errorf("a token for another audience: %d", got)
	}

	// A node whose pings are refused is given up: while the API server is away, who was known is known.
	proxy, err := harness.NewAPIProxy(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	before := proxy.Requests()
	counted := gate.New(gate.Options{Reviewer: reviewer(t, proxy.Config)})
	for range 50 {
		if err := counted.Admit(call("/status", with("Bearer "+may))); err != nil {
			t.Fatal(err)
		}
	}
	if asked := proxy.Requests() - before; asked > 4 {
		t.Errorf("50 calls asked the API server %d questions", asked)
	}
	proxy.Close()
	earlier, later := reviewer(t, plane.Config), reviewer(t, plane.Config)
	later.Inherit(earlier)
	if err := gate.New(gate.Options{Reviewer: earlier}).Admit(call("/status", with("Bearer "+may))); err != nil {
		t.Fatal(err)
	}
	if err := plane.StopAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := gate.New(gate.Options{Reviewer: later})
	if err := away.Admit(call("/status", with("Bearer "+may))); err != nil {
		t.Errorf("who was known while the API server was there: %v", err)
	}
	if got := denied(t, away.Admit(call("/getLogs", with("Bearer "+may)))); got != 503 {
		t.Errorf("what was not allowed before: %d", got)
	}
	if got := denied(t, away.Admit(call("/status", with("Bearer "+mayNot)))); got != 503 {
		t.Errorf("who was not known before: %d", got)
	}

	// A /create is never sent again: it waits.
	answered := make(chan error, 1)
	letCallLater := call("/status", with("Bearer "+may))
	letCallLater.Method, letCallLater.URL.Path = http.MethodPost, "/create"
	go func() { answered <- away.Admit(letCallLater) }()
	select {
	case err := <-answered:
		t.Errorf("a /create does not wait for the API server: %v", err)
	case <-time.After(time.Second):
	}
	if err := plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := denied(t, <-answered); got != 403 {
		t.Errorf("when it is back, the /create is answered %d", got)
	}
	harness.Eventually(t, 30*time.Second, "all is as before", func() error {
		if got := denied(t, away.Admit(call("/getLogs", with("Bearer "+may), from("127.0.0.1")))); got != 0 {
			return fmt.Errorf("it is answered %d", got)
		}
		return nil
	})
}
