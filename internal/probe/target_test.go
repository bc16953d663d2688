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

package probe

import (
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestResolve(t *testing.T) {
	c := &corev1.Container{
		Name:  "app",
		Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}, {Name: "admin", ContainerPort: 9000}},
		Env:   []corev1.EnvVar{{Name: "FILE", Value: "/tmp/ok"}, {Name: "FILE", Value: "/tmp/last"}},
	}
	get := func(a corev1.HTTPGetAction) corev1.Probe {
		return corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &a}, TimeoutSeconds: 3}
	}
	plain := http.Header{"User-Agent": {"kube-probe/" + KubeVersion}, "Accept": {"*/*"}}
	httpTo := func(url string, header http.Header) Target {
		return Target{Network: &Request{Timeout: 3 * time.Second, HTTP: &HTTPRequest{URL: url, Header: header}}}
	}
	tests := []struct {
		name  string
		probe corev1.Probe
		podIP string
		want  Target
		err   string
	}{
		{
			name:  "a command is taken as it stands, since its variables have been replaced when the pod was resolved",
			probe: corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"cat", "$(FILE)", "$(NONE)"}}}},
			want:  Target{Exec: []string{"cat", "$(FILE)", "$(NONE)"}},
		},
		{name: "a port by number, on the pod's address", podIP: "172.17.0.9", probe: get(corev1.HTTPGetAction{Port: intstr.FromInt32(80)}),
			want: httpTo("http://172.17.0.9:80", plain)},
		{name: "a port by name", podIP: "10.0.0.1", probe: get(corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("admin")}),
			want: httpTo("http://10.0.0.1:9000/", plain)},
		{name: "a pod without an address of its own", probe: get(corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80)}),
			want: httpTo("http://127.0.0.1:80/", plain)},
		{name: "an IPv6 pod", podIP: "fd00::9", probe: get(corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80)}),
			want: httpTo("http://[fd00::9]:80/", plain)},
		{name: "a host of one's own", podIP: "10.0.0.1", probe: get(corev1.HTTPGetAction{Host: "example.com", Path: "/", Port: intstr.FromInt32(80)}),
			want: httpTo("http://example.com:80/", plain)},
		{name: "HTTPS, a path with a query and escapes", probe: get(corev1.HTTPGetAction{Scheme: "HTTPS", Path: "/a%20b?x=1&y=%2F#f", Port: intstr.FromInt32(443)}),
			want: httpTo("https://127.0.0.1:443/a%20b?x=1&y=%2F#f", plain)},
		{name: "a path without its slash", probe: get(corev1.HTTPGetAction{Path: "healthz", Port: intstr.FromInt32(80)}),
			want: httpTo("http://127.0.0.1:80/healthz", plain)},
		{name: "a path that is no URL", probe: get(corev1.HTTPGetAction{Path: "/%zz", Port: intstr.FromInt32(80)}),
			want: httpTo("http://127.0.0.1:80/%25zz", plain)},
		{
			name: "headers, repeated ones too, beside those that are always there",
			probe: get(corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80), HTTPHeaders: []corev1.HTTPHeader{
				{Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}, {Name: "Host", Value: "shop"}}}),
			want: httpTo("http://127.0.0.1:80/", http.Header{"X-A": {"1", "2"}, "Host": {"shop"}, "User-Agent": plain["User-Agent"], "Accept": plain["Accept"]}),
		},
		{
			// "you can override default headers… or remove them by defining an empty value".
			name: "an empty Accept sends none, and so does an empty User-Agent",
			probe: get(corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80), HTTPHeaders: []corev1.HTTPHeader{
				{Name: "Accept"}, {Name: "user-agent"}}}),
			want: httpTo("http://127.0.0.1:80/", http.Header{"User-Agent": {""}}),
		},
		{name: "no such port", probe: get(corev1.HTTPGetAction{Port: intstr.FromString("nope")}), err: `container "app" has no port named "nope"`},
		{name: "a port's number in a string is a name", probe: get(corev1.HTTPGetAction{Port: intstr.FromString("80")}), err: `has no port named "80"`},
		{name: "not a port", probe: get(corev1.HTTPGetAction{Port: intstr.FromInt32(65536)}), err: "65536 is not a port number"},
		{
			name:  "TCP by name",
			probe: corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}},
			podIP: "10.0.0.1",
			want:  Target{Network: &Request{Timeout: time.Second, TCP: &TCPRequest{Address: "10.0.0.1:8080"}}},
		},
		{
			name:  "TCP elsewhere",
			probe: corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "db", Port: intstr.FromInt32(5432)}}},
			want:  Target{Network: &Request{Timeout: time.Second, TCP: &TCPRequest{Address: "db:5432"}}},
		},
		{
			name:  "gRPC without a service",
			probe: corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 50051}}},
			want:  Target{Network: &Request{Timeout: time.Second, GRPC: &GRPCRequest{Address: "127.0.0.1:50051"}}},
		},
		{
			name: "gRPC with a service and TLS",
			probe: corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 50051, Service: ptr.To("live"),
				Mode: ptr.To(corev1.GRPCProbeModeTLS)}}},
			want: Target{Network: &Request{Timeout: time.Second, GRPC: &GRPCRequest{Address: "127.0.0.1:50051", Service: "live", TLS: true}}},
		},
		{name: "nothing", err: "names none of exec, httpGet, tcpSocket and grpc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve(&tt.probe, c, tt.podIP)
			wantTarget(t, got, err, tt.want, tt.err)
		})
	}
}

func TestResolveHook(t *testing.T) {
	c := &corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}, Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}
	tests := []struct {
		name string
		hook corev1.LifecycleHandler
		want Target
		err  string
	}{
		{
			name: "a command is taken as it stands",
			hook: corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"echo", "$(A)"}}},
			want: Target{Exec: []string{"echo", "$(A)"}},
		},
		{
			name: "a GET has no time limit of its own",
			hook: corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/stop", Port: intstr.FromString("web")}},
			want: Target{Network: &Request{HTTP: &HTTPRequest{URL: "http://10.0.0.1:8080/stop", Hook: true,
				Header: http.Header{"User-Agent": {"kube-lifecycle/" + KubeVersion}, "Accept": {"*/*"}}}}},
		},
		{
			name: "sleep (KEP-3960)",
			hook: corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}},
			want: Target{Sleep: ptr.To(5 * time.Second)},
		},
		{
			name: "sleep for no time (KEP-4818)",
			hook: corev1.LifecycleHandler{Sleep: &corev1.SleepAction{}},
			want: Target{Sleep: ptr.To(time.Duration(0))},
		},
		{
			name: "tcpSocket fails when it runs",
			hook: corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}},
			err:  "tcpSocket is not supported in hooks",
		},
		{name: "nothing", err: "names none of"},
		{
			name: "no such port",
			hook: corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("nope")}},
			err:  `no port named "nope"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ResolveHook(&tt.hook, c, "10.0.0.1")
			wantTarget(t, got, err, tt.want, tt.err)
		})
	}
}

func wantTarget(t *testing.T, got Target, err error, want Target, wantErr string) {
	t.Helper()
	if wantErr != "" {
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Fatalf("got error %v, want one with %q", err, wantErr)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", describe(got), describe(want))
	}
}

func describe(target Target) any {
	if target.Network == nil {
		return target
	}
	if target.Network.HTTP != nil {
		return *target.Network.HTTP
	}
	return *target.Network
}

func TestKubeVersionIsThatOfTheAPI(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`\tk8s\.io/api v0\.(\d+)\.`).FindSubmatch(mod)
	if len(m) != 2 || "1."+string(m[1]) != KubeVersion {
		t.Errorf("KubeVersion is %s, go.mod has k8s.io/api %s", KubeVersion, m)
	}
}
