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
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const mediaManifest = "application/vnd.docker.distribution.manifest.v2+json"

// Registry is a read-only image registry that serves one image under a few names. An engine of the harness has it as its mirror of
// Docker Hub, so that pulls, and pulls that fail, are real ones.
type Registry struct {
	image *Image

	mu     sync.Mutex
	names  map[string]bool
	stalls map[string]chan struct{}
	asked  map[string]int
}

// NewRegistry serves the image under the given names, such as "library/nginx:latest", on the listener.
func NewRegistry(l net.Listener, image *Image, names ...string) *Registry {
	r := &Registry{image: image, names: map[string]bool{}, stalls: map[string]chan struct{}{}, asked: map[string]int{}}
	for _, name := range names {
		r.names[name] = true
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return r
}

// Stall answers nothing about the repository, such as "library/slow", until the returned function is called.
func (r *Registry) Stall(repository string) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stall := make(chan struct{})
	r.stalls[repository] = stall
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.stalls, repository)
		close(stall)
	})
}

func (r *Registry) wait(req *http.Request, repository string) {
	r.mu.Lock()
	stall := r.stalls[repository]
	r.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-req.Context().Done():
		}
	}
}

// Asked tells how often a name's manifest was asked for.
func (r *Registry) Asked(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[name]
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	rest := strings.TrimPrefix(req.URL.Path, "/v2/")
	if rest == "" {
		return
	}
	if name, ref, ok := strings.Cut(rest, "/manifests/"); ok {
		r.manifest(w, req, name, ref)
		return
	}
	if _, want, ok := strings.Cut(rest, "/blobs/"); ok {
		r.blob(w, req, want)
		return
	}
	http.NotFound(w, req)
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, name, ref string) {
	r.mu.Lock()
	known := r.names[name+":"+ref] || ref == digest(r.image.Manifest)
	r.asked[name+":"+ref]++
	r.mu.Unlock()
	r.wait(req, name)
	if !known {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
		return
	}
	w.Header().Set("Content-Type", mediaManifest)
	w.Header().Set("Docker-Content-Digest", digest(r.image.Manifest))
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(r.image.Manifest))
}

func (r *Registry) blob(w http.ResponseWriter, req *http.Request, want string) {
	for _, blob := range [][]byte{r.image.Config, r.image.Layer} {
		if digest(blob) == want {
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(blob))
			return
		}
	}
	http.NotFound(w, req)
}
