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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// logChunkBytes is how much of a log is sent at a time.
const logChunkBytes = 32 << 10

// getLogs answers GET and POST /getLogs: a stream of what a container wrote, each piece as it comes.
func (h *handler) getLogs(w http.ResponseWriter, r *http.Request) error {
	var request *logsRequest
	if err := h.readBody(w, r, func(body []byte) (err error) {
		request, err = decodeLogs(r, body)
		return err
	}); err != nil {
		return err
	}
	about(r.Context(), request.pod)
	job, err := h.Ledger.FindAny(request.pod)
	if err != nil {
		return err
	}
	if request.opts.Container, err = containerOf(job, request.opts.Container); err != nil {
		return err
	}
	if job.Status.JobID == "" {
		return ledger.Errorf(ledger.NotFound, "NotStarted", "container %q has no log yet: the backend %s does not hold the pod", request.opts.Container, job.Spec.BackendName)
	}
	stream, err := h.Logs.Logs(r.Context(), LogJob{Backend: job.Spec.BackendName, Token: h.Ledger.Token(job), JobID: job.Status.JobID}, request.opts)
	if err != nil {
		if _, own := ledger.AsError(err); own {
			return err
		}
		return &httpError{
			code: http.StatusConflict, reason: "BackendUnavailable",
			message: fmt.Sprintf("the log can't be read from the backend %s now: %s", job.Spec.BackendName, err),
		}
	}
	defer func() { _ = stream.Close() }()
	// A log that is followed says nothing for hours: when its reader leaves, nothing else would end the wait for the next line.
	leave := context.AfterFunc(r.Context(), func() { _ = stream.Close() })
	defer leave()
	send(r.Context(), w, stream)
	return nil
}

// containerOf returns the container that is meant: the one that is named, or the only one.
func containerOf(job *v1alpha1.RemoteJob, name string) (string, error) {
	spec := &job.Spec.Template.Spec
	if name == "" && len(spec.Containers) == 1 {
		return spec.Containers[0].Name, nil
	}
	var names []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return name, nil
			}
			names = append(names, list[i].Name)
		}
	}
	if name == "" {
		return "", badRequest(ledger.ReasonInvalid, "ContainerName is missing: the pod has "+strings.Join(names, ", "))
	}
	return "", ledger.Errorf(ledger.NotFound, ledger.ReasonNotFound, "the pod has no container %.80q: it has %s", name, strings.Join(names, ", "))
}

// send copies a stream to the caller, piece by piece. Once the answer has begun there is no way left to report an error but to end it.
func send(ctx context.Context, w http.ResponseWriter, stream io.Reader) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	connection := http.NewResponseController(w)
	_ = connection.Flush() // a follower learns at once that the log is there, though empty so far
	chunk := make([]byte, logChunkBytes)
	for {
		n, err := stream.Read(chunk)
		if n > 0 {
			_ = connection.SetWriteDeadline(time.Now().Add(logWriteTimeout))
			if _, gone := w.Write(chunk[:n]); gone != nil {
				return
			}
			_ = connection.Flush()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				log.FromContext(ctx).Info("the log broke off", "cause", err.Error())
			}
			return
		}
	}
}
