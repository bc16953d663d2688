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

package controller

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
)

// identify are the names of a job that go into each line of the log about it: whoever knows one of them finds them all.
func identify(job *v1alpha1.RemoteJob, token string) []any {
	values := []any{"remotejob", client.ObjectKeyFromObject(job).String(), "token", token, "backend", job.Spec.BackendName}
	if ref := job.Spec.PodRef; ref != nil {
		values = append(values, "pod", ref.Namespace+"/"+ref.Name, "podUID", ref.UID)
	}
	if session := job.Annotations[v1alpha1.AnnotationSession]; session != "" {
		values = append(values, "session", session)
	}
	return values
}

// logChange logs that a job has gone on, once for each of its phases, or that something else holds it up than before.
func logChange(ctx context.Context, t told) {
	if t.what == "" {
		return
	}
	values := []any{"phase", t.phase, "was", t.was, "jobID", t.jobID, "node", t.node}
	if t.reason != "" {
		values = append(values, "reason", t.reason)
	}
	if t.message != "" {
		values = append(values, "message", t.message)
	}
	log.FromContext(ctx).Info(t.what, values...)
}

// traced begins a span for a call to a job's backend, in the trace of the call that brought the job.
func traced(ctx context.Context, v *visit, call string) (_ context.Context, end func(error)) {
	carried := v.job.Annotations[v1alpha1.AnnotationTrace]
	if carried == "" {
		return ctx, func(error) {}
	}
	return tracing.Span(tracing.Resume(ctx, carried), "backend "+call, trace.SpanKindInternal, valuesOf(v)...)
}

// traceChange puts into a job's trace what logChange puts into the log, as a span that has no length.
func traceChange(ctx context.Context, v *visit, t told) {
	carried := v.job.Annotations[v1alpha1.AnnotationTrace]
	if carried == "" || t.what == "" {
		return
	}
	_, end := tracing.Span(tracing.Resume(ctx, carried), t.what, trace.SpanKindInternal, append(valuesOf(v), "remotejob.phase", string(t.phase),
		"remotejob.reason", t.reason, "remotejob.message", t.message, "remotejob.job_id", t.jobID, "remotejob.node", t.node)...)
	var err error
	if t.trouble {
		err = errors.New(t.reason)
	}
	end(err)
}

func valuesOf(v *visit) []string {
	values := []string{"remotejob", v.key().String(), "remotejob.token", v.token, "remotejob.backend", v.job.Spec.BackendName, "interlink.session", v.job.Annotations[v1alpha1.AnnotationSession]}
	if ref := v.job.Spec.PodRef; ref != nil {
		values = append(values, "k8s.namespace.name", ref.Namespace, "k8s.pod.name", ref.Name, "k8s.pod.uid", string(ref.UID))
	}
	return values
}
