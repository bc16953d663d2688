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
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

func TestAnAddressIsReadAsItIsWrittenInAFlag(t *testing.T) {
	for text, want := range map[string]pluginapi.Address{
		"127.0.0.1:4000":             {Network: "tcp", Address: "127.0.0.1:4000"},
		"[::1]:4000":                 {Network: "tcp", Address: "[::1]:4000"},
		":4000":                      {Network: "tcp", Address: ":4000"},
		"unix:///run/remotejob.sock": {Network: "unix", Address: "/run/remotejob.sock"},
		"hpc=127.0.0.1:4001":         {Backend: "hpc", Network: "tcp", Address: "127.0.0.1:4001"},
		"hpc.site=unix:///a=b":       {Backend: "hpc.site", Network: "unix", Address: "/a=b"},
	} {
		got, listen, err := pluginapi.ParseAddress(text)
		if err != nil || !listen || got != want || got.String() != text {
			t.Errorf("%s is read as %+v (%s), %t, %v", text, got, got, listen, err)
		}
	}
	if _, listen, err := pluginapi.ParseAddress("0"); err != nil || listen {
		t.Errorf("0 is read as %t, %v", listen, err)
	}
	for _, text := range []string{"", "4000", "localhost", "unix://run/x", "unix:///", "http://127.0.0.1:4000", "HPC=127.0.0.1:1", "=127.0.0.1:1", "127.0.0.1:1/x", "hpc=", "127.0.0.1:port", "127.0.0.1:70000"} {
		if got, _, err := pluginapi.ParseAddress(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
}

func address(t *testing.T, text string) pluginapi.Address {
	t.Helper()
	a, _, err := pluginapi.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOnlyThisMachineMayListenUnlessItIsAllowed(t *testing.T) {
	for text, local := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "127.9.9.9:0": true, "unix://" + filepath.Join(t.TempDir(), "s"): true,
		":0": false, "0.0.0.0:0": false, "[::]:0": false,
	} {
		server, err := pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, []pluginapi.Address{address(t, text)}, false)
		if !local {
			if err == nil || !strings.Contains(err.Error(), "other machines") {
				t.Errorf("%s: %v", text, err)
			}
			if server, err = pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, []pluginapi.Address{address(t, text)}, true); err != nil {
				t.Errorf("%s, which is allowed: %v", text, err)
			}
		} else if err != nil && text != "[::1]:0" { // not every machine has it
			t.Errorf("%s: %v", text, err)
		}
		if server != nil {
			stop(t, server)
		}
	}
}

// stop lets a server come up and end.
func stop(t *testing.T, server *pluginapi.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Start(ctx); err != nil {
		t.Error(err)
	}
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
	}, []pluginapi.Address{address(t, "127.0.0.1:0"), address(t, "hpc=unix://"+socket)}, false)
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
	if _, err := pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, []pluginapi.Address{address(t, "unix://"+socket)}, false); err == nil || !strings.Contains(err.Error(), "another process") {
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

func TestASocketThatNobodyAnswersAtIsReplacedAndNothingElseIs(t *testing.T) {
	dir := t.TempDir()
	stale, file := filepath.Join(dir, "stale"), filepath.Join(dir, "file")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
	server, err := pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, []pluginapi.Address{address(t, "unix://"+stale)}, false)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, server)
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pluginapi.NewServer(pluginapi.Options{Log: logr.Discard()}, []pluginapi.Address{address(t, "unix://"+file)}, false); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the place of the socket: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "mine" {
		t.Errorf("the file: %q, %v", kept, err)
	}
}
