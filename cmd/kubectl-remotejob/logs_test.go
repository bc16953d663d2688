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
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// question is a call for a log, and asked the last one that there was.
type question struct {
	body          map[string]any
	authorization string
}

type asked struct {
	mu sync.Mutex
	question
}

func (a *asked) last() question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.question
}

// endpointThatSays is an endpoint that answers each question for a log with one line, which names the container.
func endpointThatSays(t *testing.T, serve func(http.Handler) string) (address string, last *asked) {
	t.Helper()
	last = &asked{}
	address = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		q := question{authorization: r.Header.Get("Authorization")}
		if err != nil || json.Unmarshal(data, &q.body) != nil || r.URL.Path != "/getLogs" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		last.mu.Lock()
		last.question = q
		last.mu.Unlock()
		if q.body["ContainerName"] == "silent" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "container silent has no log yet")
			return
		}
		fmt.Fprintf(w, "hello from %s\n", q.body["ContainerName"])
	}))
	return address, last
}

func TestLogsAsksForWhatItsFlagsSay(t *testing.T) {
	u := newUser(t)
	address, last := endpointThatSays(t, func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	})
	job := u.job("one", ofPod("train"))
	at := func(args ...string) []string { return append([]string{"logs", "--endpoint", address}, args...) }
	for _, tt := range []struct {
		flags string
		want  string
	}{
		{"", `{}`},
		{"--tail 5 --timestamps -f", `{"Follow":true,"Tail":5,"Timestamps":true}`},
		{"-p --limit-bytes 100", `{"LimitBytes":100,"Previous":true}`},
		{"--since 90s", `{"SinceSeconds":90}`},
		{"--since 100ms", `{"SinceSeconds":1}`},
		{"--since-time 2026-01-02T03:04:05Z", `{"SinceTime":"2026-01-02T03:04:05Z"}`},
	} {
		if got := u.ok(at(append([]string{"one"}, strings.Fields(tt.flags)...)...)...); got != "hello from main\n" {
			t.Errorf("logs %s prints %q", tt.flags, got)
		}
		opts, err := json.Marshal(last.last().body["Opts"])
		if err != nil || string(opts) != tt.want {
			t.Errorf("logs %s asks for %s, want %s", tt.flags, opts, tt.want)
		}
	}
	if b := last.last().body; b["PodUID"] != string(job.Spec.PodRef.UID) || b["PodName"] != "train" || b["Namespace"] != "pods" {
		t.Errorf("it asks about the pod %v", b)
	}
	u.job("two", func(j *v1alpha1.RemoteJob) {
		j.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "i"}}
		j.Spec.Template.Spec.Containers = append(j.Spec.Template.Spec.Containers, corev1.Container{Name: "silent", Image: "i"})
	})
	u.refused("name one by --container", at("two")...)
	u.refused(`no container "x"`, at("two", "-c", "x")...)
	u.refused("container silent has no log yet", at("two", "-c", "silent")...)
	if got := u.ok(at("two", "-c", "first", "--prefix")...); got != "[two/first] hello from first\n" {
		t.Errorf("with a prefix: %q", got)
	}
	out, _, err := u.run(at("two", "--all-containers", "-f")...)
	if err == nil || !strings.Contains(out, "hello from first\n") || !strings.Contains(out, "hello from main\n") {
		t.Errorf("of all containers: %q %v", out, err)
	}
	u.refused("--since-time must be a time", at("one", "--since-time", "yesterday")...)
	if out := u.ok(at("one", "--tail", "0")...); out != "" {
		t.Errorf("the last 0 lines are %q", out)
	}
	t.Setenv(endpointVariable, "")
	u.refused("say where its endpoint is", "logs", "one")
	t.Setenv(endpointVariable, address)
	if got := u.ok("logs", "one"); got != "hello from main\n" {
		t.Errorf("by the variable: %q", got)
	}
}

func TestLogsReachesASocketAndShowsWhoAsks(t *testing.T) {
	u := newUser(t)
	dir := t.TempDir()
	socket, token := filepath.Join(dir, "s"), filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("let-me-in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, last := endpointThatSays(t, func(h http.Handler) string {
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(h)
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return "unix://" + socket
	})
	u.job("one")
	if got := u.ok("logs", "one", "--endpoint", address, "--endpoint-token-file", token); got != "hello from main\n" || last.last().authorization != "Bearer let-me-in" {
		t.Errorf("%q, let in by %q", got, last.last().authorization)
	}

	var server *httptest.Server
	address, _ = endpointThatSays(t, func(h http.Handler) string {
		server = httptest.NewTLSServer(h)
		t.Cleanup(server.Close)
		return server.URL
	})
	u.refused("certificate", "logs", "one", "--endpoint", address)
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := u.ok("logs", "one", "--endpoint", address, "--endpoint-ca-file", ca); got != "hello from main\n" {
		t.Errorf("over TLS: %q", got)
	}
	if got := u.ok("logs", "one", "--endpoint", address, "--endpoint-ca-file", ca, "--endpoint-server-name", "example.com"); got != "hello from main\n" {
		t.Errorf("under the other name in its certificate: %q", got)
	}
	u.refused("certificate", "logs", "one", "--endpoint", address, "--endpoint-ca-file", ca, "--endpoint-server-name", "example.org")
}
