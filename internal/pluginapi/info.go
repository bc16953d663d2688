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

package pluginapi

import (
	_ "embed" // the API's description
	"encoding/json"
	"net/http"
	"runtime"

	corev1 "k8s.io/api/core/v1"
)

//go:embed openapi.json
var openAPIDocument []byte

// health tells that the process is there.
func (h *handler) health(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok"))
	return nil
}

// ready tells whether questions about pods can be answered.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if err := h.Ledger.Ready(); err != nil {
		return err
	}
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok"))
	return nil
}

func (h *handler) openAPI(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, openAPIDocument)
}

// systemInfo is what the operator says of itself.
type systemInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Ready   bool   `json:"ready"`
	// Backend is the backend of this address, where it has one.
	Backend   string            `json:"backend,omitempty"`
	Resources map[string]string `json:"resources,omitempty"`
}

func (h *handler) systemInfo(w http.ResponseWriter, r *http.Request) error {
	body, err := json.Marshal(systemInfo{
		Name: "remotejob-operator", Version: h.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Ready: h.Ledger.Ready() == nil, Backend: h.backend, Resources: quantities(h.Nodes.Node(r.Context(), h.backend).Capacity),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}

func quantities(list corev1.ResourceList) map[string]string {
	out := make(map[string]string, len(list))
	for name, quantity := range list {
		out[string(name)] = quantity.String()
	}
	return out
}
