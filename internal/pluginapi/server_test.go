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

package pluginapi_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

func address(t *testing.T, text string) serving.Address {
	t.Helper()
	a, _, err := serving.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// waiting is a ledger whose Create waits for a backend's word, as long as it may.
type waiting struct {
	failing
	arrived chan struct{}
}

func (w waiting) Create(ctx context.Context, requests []ledger.CreateRequest) ([]ledger.Created, error) {
	close(w.arrived)
	<-ctx.Done()
	return []ledger.Created{{UID: requests[0].Pod.UID, JobID: "ledger's own"}}, nil
}

func TestAServerAnswersAtAllItsAddressesAndLetsCallsComeToTheirEnd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "plugin.sock")
	l := waiting{arrived: make(chan struct{})}
	var asked []string
	server, err := pluginapi.NewServer(pluginapi.Options{
		Ledger: l, Log: logr.Discard(),
		Nodes: nodes(func(backend string) pluginapi.Node { asked = append(asked, backend); return pluginapi.Node{} }),
	}, pluginapi.Listening{Addresses: []serving.Address{address(t, "127.0.0.1:0"), address(t, "hpc=unix://"+socket)}})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- server.Start(ctx) }()

	tcp := &endpoint{t: t, url: "http://" + server.Addresses()[0].String()}
	unix := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	if got := tcp.call(http.MethodGet, "/status", "[]"); got.code != http.StatusOK {
		t.Errorf("over TCP: %d %s", got.code, got.text)
	}
	response, err := unix.Get("http://unix/status")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || strings.Join(asked, ",") != ",hpc" {
		t.Errorf("over the socket: %d, and the pings were about %q", response.StatusCode, asked)
	}
	if _, err := pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, pluginapi.Listening{Addresses: []serving.Address{address(t, "unix://"+socket)}}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server at the socket: %v", err)
	}

	answered := make(chan reply)
	go func() { answered <- tcp.call(http.MethodPost, "/create", inSpec(`"containers":[]`)) }()
	<-l.arrived
	cancel()
	if got := <-answered; got.code != http.StatusOK || !strings.Contains(got.text, "ledger's own") {
		t.Errorf("a call that was under way: %d %s", got.code, got.text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}
