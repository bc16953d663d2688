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
	"net/http"
	"sync"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// deleteWorkers bounds how many pods of one list are deleted side by side.
const deleteWorkers = 8

// delete answers POST /delete: one pod or PodStatus, or a list of them.
func (h *handler) delete(w http.ResponseWriter, r *http.Request) error {
	var requests []ledger.DeleteRequest
	if err := h.readBody(w, r, func(body []byte) (err error) {
		requests, err = h.deletionsOf(body)
		return err
	}); err != nil {
		return err
	}
	errs := make([]error, len(requests))
	var all sync.WaitGroup
	places := make(chan struct{}, deleteWorkers)
	for i := range requests {
		about(r.Context(), requests[i].Pod)
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = h.Ledger.Delete(r.Context(), requests[i])
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte("the pod is being stopped and removed"))
	return nil
}

func (h *handler) deletionsOf(body []byte) ([]ledger.DeleteRequest, error) {
	pods, err := scanPods(body)
	if err != nil {
		return nil, malformed(err)
	}
	if len(pods) == 0 {
		return nil, badRequest(ledger.ReasonInvalid, "the list of pods is empty")
	}
	requests := make([]ledger.DeleteRequest, len(pods))
	for i := range pods {
		if pods[i].pod.UID == "" {
			return nil, badRequest(ledger.ReasonInvalid, "metadata.uid of the pod is missing")
		}
		requests[i] = ledger.DeleteRequest{
			Pod:    pods[i].pod,
			Choice: ledger.BackendChoice{Annotation: pods[i].backend, NodeName: pods[i].nodeName, Endpoint: h.backend},
		}
	}
	return requests, nil
}
