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

package harness

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// InterLink speaks to the endpoint as interLink's API server does. The types here are written after the wire, and are not the
// product's.
type InterLink struct {
	// Base is the endpoint's URL.
	Base string
	// HTTP is the client; its connections are kept.
	HTTP *http.Client
	// Session goes with every call.
	Session string
}

// NewInterLink returns a client for an address as --plugin-bind-address takes it: host:port or unix:///path.
func NewInterLink(address string) *InterLink {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	base := "http://" + address
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		base = "http://unix"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	return &InterLink{Base: base, HTTP: &http.Client{Transport: transport, Timeout: 2 * time.Minute}, Session: "Harness#1"}
}

// Answer is what came back from a call.
type Answer struct {
	Code   int
	Body   []byte
	Header http.Header
}

// Do makes a call with a body, which a GET has too.
func (i *InterLink) Do(ctx context.Context, method, path string, body []byte, header ...string) (Answer, error) {
	resp, err := i.open(ctx, method, path, body, header...)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return Answer{Code: resp.StatusCode, Body: data, Header: resp.Header}, nil
}

func (i *InterLink) open(ctx context.Context, method, path string, body []byte, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, i.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Interlink-Http-Session", i.Session)
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	return i.HTTP.Do(req)
}

// Created is the answer to /create.
type Created struct{ PodUID, PodJID string }

// Create sends one pod in the form that interLink sends.
func (i *InterLink) Create(ctx context.Context, body []byte) (Created, Answer, error) {
	answer, err := i.Do(ctx, http.MethodPost, "/create", body)
	if err != nil || answer.Code != http.StatusOK {
		return Created{}, answer, err
	}
	var created Created
	if err := json.Unmarshal(answer.Body, &created); err != nil {
		return Created{}, answer, fmt.Errorf("the answer to /create: %w: %s", err, answer.Body)
	}
	return created, answer, nil
}

// PodStatus is one element of the answer to /status.
type PodStatus struct {
	Name           string                   `json:"name"`
	UID            string                   `json:"UID"`
	Namespace      string                   `json:"namespace"`
	JID            string                   `json:"JID"`
	Containers     []corev1.ContainerStatus `json:"containers"`
	InitContainers []corev1.ContainerStatus `json:"initContainers"`
}

// Ended tells whether the virtual kubelet would take the pod for ended.
func (s *PodStatus) Ended() bool {
	for _, c := range s.Containers {
		if c.State.Terminated == nil {
			return false
		}
	}
	return true
}

// Exit is the exit code of a container that has ended, and -1 of one that has not.
func (s *PodStatus) Exit(container string) int32 {
	for _, c := range append(append([]corev1.ContainerStatus{}, s.InitContainers...), s.Containers...) {
		if c.Name == container && c.State.Terminated != nil {
			return c.State.Terminated.ExitCode
		}
	}
	return -1
}

// Status asks about pods in the form that interLink uses.
func (i *InterLink) Status(ctx context.Context, pods ...*corev1.Pod) ([]PodStatus, Answer, error) {
	body, err := json.Marshal(pods)
	if err != nil {
		return nil, Answer{}, err
	}
	answer, err := i.Do(ctx, http.MethodGet, "/status", body)
	if err != nil || answer.Code != http.StatusOK {
		return nil, answer, err
	}
	var list []PodStatus
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return nil, answer, fmt.Errorf("the answer to /status: %w: %s", err, answer.Body)
	}
	return list, answer, nil
}

// Delete deletes a pod in the form that interLink uses.
func (i *InterLink) Delete(ctx context.Context, pod *corev1.Pod) (Answer, error) {
	body, err := json.Marshal(pod)
	if err != nil {
		return Answer{}, err
	}
	return i.Do(ctx, http.MethodPost, "/delete", body)
}

// LogOpts are the options of /getLogs as they stand on the wire, where zeros mean "not set".
type LogOpts struct {
	Tail, Bytes                  int
	Timestamps, Follow, Previous bool
	SinceSeconds                 int
	SinceTime                    time.Time
}

// Logs asks for a container's log and reads all of it.
func (i *InterLink) Logs(ctx context.Context, pod *corev1.Pod, container string, opts LogOpts) (Answer, error) {
	return i.Do(ctx, http.MethodGet, "/getLogs", logBody(pod, container, opts))
}

// OpenLogs asks for a container's log and leaves it to the caller to read.
func (i *InterLink) OpenLogs(ctx context.Context, pod *corev1.Pod, container string, opts LogOpts) (*http.Response, error) {
	return i.open(ctx, http.MethodGet, "/getLogs", logBody(pod, container, opts))
}

func logBody(pod *corev1.Pod, container string, opts LogOpts) []byte {
	body, err := json.Marshal(map[string]any{
		"Namespace": pod.Namespace, "PodUID": pod.UID, "PodName": pod.Name, "ContainerName": container, "Opts": opts,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// Ping is the answer to a /status call about no pod.
type Ping struct {
	Status    string `json:"status"`
	Resources *struct {
		CPU    string `json:"cpu"`
		Memory string `json:"memory"`
		Pods   string `json:"pods"`
	} `json:"resources"`
	Taints []corev1.Taint `json:"taints"`
}

// Ping asks as the virtual kubelet does every 30 seconds.
func (i *InterLink) Ping(ctx context.Context) (Ping, Answer, error) {
	answer, err := i.Do(ctx, http.MethodGet, "/status", []byte("[]"))
	if err != nil {
		return Ping{}, answer, err
	}
	var ping Ping
	if answer.Code == http.StatusOK {
		err = json.Unmarshal(answer.Body, &ping)
	}
	return ping, answer, err
}

//go:embed wire/*.json
var recorded embed.FS

// Recorded is the body of a call that was recorded from interLink, such as "create-rich".
func Recorded(t testing.TB, call string) []byte {
	t.Helper()
	data, err := recorded.ReadFile("wire/" + call + ".request.json")
	if err != nil {
		t.Fatal(err)
	}
	var request struct {
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(data, &request); err != nil {
		t.Fatal(err)
	}
	return request.Body
}
