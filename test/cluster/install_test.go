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
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// managers are the operator's two pods. One that another test has ended may go on for a moment beside them.
func (s *stage) managers(t *testing.T) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	harness.Eventually(t, 2*time.Minute, "two replicas that are ready", func() error {
		err := s.ledger.List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{"control-plane": "controller-manager"})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.ContainerStatuses {
				if !c.Ready {
					return fmt.Errorf("%s is not ready", pods.Items[i].Name)
				}
			}
		}
		if len(pods.Items) != 2 {
			return fmt.Errorf("there are %d", len(pods.Items))
		}
		return nil
	})
	return pods.Items
}

func TestTwoReplicasRunWhereOnlyRestrictedPodsMay(t *testing.T) {
	for _, pod := range site.managers(t) {
		for _, c := range pod.Status.ContainerStatuses {
			if c.RestartCount > 0 {
				t.Errorf("%s was restarted %d times", pod.Name, c.RestartCount)
			}
		}
	}
	// The namespace takes no other pods: the manager's are not restricted by courtesy.
	other := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
	if err := site.ledger.Create(t.Context(), other, client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restricted") {
		t.Errorf("a pod that asks for no restrictions: %v", err)
	}
}

// call asks the endpoint through the Service, over a connection of its own, so that any replica may be the one that answers.
func (s *stage) call(t *testing.T, token, path string) (int, string) {
	t.Helper()
	address, err := s.address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path, strings.NewReader("[]"))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestTheServiceAnswersWhoMayCallAndNobodyElse(t *testing.T) {
	const stranger = "stranger"
	if err := site.makeCaller(t.Context(), stranger, false); err != nil {
		t.Fatal(err)
	}
	unknown, err := site.tokenOf(t.Context(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, token string
		want       int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"who makes a token up", strings.Repeat("x", 40), http.StatusUnauthorized},
		{"a ServiceAccount without the role", unknown, http.StatusForbidden},
		{"a ServiceAccount with the role", site.token, http.StatusOK},
	} {
		// Either replica may be the one that answers.
		for range 6 {
			if code, body := site.call(t, c.token, "/status"); code != c.want {
				t.Errorf("%s: %d %s, want %d", c.who, code, body, c.want)
			}
		}
	}
}

func TestBothReplicasHaveTheCertificateOfTheSecret(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(site.authority)
	for _, pod := range site.managers(t) {
		config := &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12}
		connection, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", pod.Status.PodIP+":4000")
		if err != nil {
			t.Errorf("%s: %v", pod.Name, err)
			continue
		}
		_ = connection.Close()
	}
}

// TestMetricsAreForReadersOfThem asks a replica for its metrics as Prometheus does.
func TestMetricsAreForReadersOfThem(t *testing.T) {
	pod := site.managers(t)[0]
	get := func(token string) (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+pod.Status.PodIP+":8443/metrics", http.NoBody)
		if err != nil {
			return 0, err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		// It makes its certificate up.
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	const reader = "reader"
	err := site.makeCaller(t.Context(), reader, false)
	if err == nil {
		err = site.kubectl(t.Context(), "create", "clusterrolebinding", reader, "--clusterrole=remotejob-metrics-reader", "--serviceaccount=default:"+reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	token, err := site.tokenOf(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, token string
		want       int
	}{
		{"who shows nothing", "", http.StatusUnauthorized},
		{"a caller of the endpoint", site.token, http.StatusForbidden},
		{"a reader of metrics", token, http.StatusOK},
	} {
		if code, err := get(c.token); err != nil || code != c.want {
			t.Errorf("%s gets %d (%v), want %d", c.who, code, err, c.want)
		}
	}
}
