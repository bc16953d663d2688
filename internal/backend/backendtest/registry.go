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

package backendtest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// ServeRegistry starts a registry for the suite on the loopback address, which speaks HTTP without TLS and ends with the test.
func ServeRegistry(t *testing.T) Registry {
	t.Helper()
	busybox, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	image := busybox.Variant()
	listen := func() net.Listener {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	served := harness.NewRegistry(listen(), image, "suite/public:1", "suite/late:1", "suite/private:1", "suite/stalled:1")
	serve := func(h http.Handler) string {
		l := listen()
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		return l.Addr().String()
	}
	password := rand.Text()
	open, private := serve(lateRegistry(served)), serve(guarded(served, "suite", password))
	return Registry{
		Public: open + "/suite/public:1", Never: open + "/suite/never:1", Late: open + "/suite/late:1", Stalled: open + "/suite/stalled:1",
		Digest:  fmt.Sprintf("%s/suite/public@sha256:%x", open, sha256.Sum256(image.Manifest)),
		Private: private + "/suite/private:1", Username: "suite", Password: password,
		Release: served.Stall("suite/stalled"),
		Asked:   func(image string) int { return served.Asked(image[strings.IndexByte(image, '/')+1:]) },
	}
}

// lateRegistry does not have the image suite/late when it is asked for it the first time.
func lateRegistry(next http.Handler) http.Handler {
	var mu sync.Mutex
	asked := false
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		missing := !asked && strings.Contains(r.URL.Path, "/suite/late/manifests/")
		// The engine asks by HEAD and then by GET; both are one question.
		asked = asked || missing && r.Method == http.MethodGet
		mu.Unlock()
		if missing {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guarded takes a name and a password for everything.
func guarded(next http.Handler, username, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, word, ok := r.BasicAuth()
		if !ok || name != username || word != password {
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			w.Header().Set("WWW-Authenticate", `Basic realm="suite"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
