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
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// maxNote is how many bytes of a note the API takes.
const maxNote = 1024

// occurrence is what an Event tells. The zero value is none.
type occurrence struct {
	kind, reason, action, note string
}

// occurred is what a write of a RemoteJob's status brought that a person may have to act on. What goes well makes no Event: it costs a
// write. Nor does a backend that is away: its RemoteBackend has one for all its jobs.
func occurred(before, after *v1alpha1.RemoteJob) occurrence {
	trouble := func(action, reason, note string) occurrence {
		return occurrence{kind: corev1.EventTypeWarning, reason: reason, action: action, note: note}
	}
	switch {
	case before.Finished() || after.Status.Phase == v1alpha1.PhaseSucceeded || toEnd(after):
		return occurrence{}
	case after.Finished():
		return trouble("Run", after.Status.Reason, after.Status.Message)
	case isSubmitted(after):
		if is := family(after.Status.Reason); is != "" && is != family(before.Status.Reason) {
			return trouble("Start", after.Status.Reason, after.Status.Message)
		}
		return occurrence{}
	}
	now, was := whyNotSubmitted(after), whyNotSubmitted(before)
	if now == nil || was != nil && was.Reason == now.Reason {
		return occurrence{}
	}
	switch now.Reason {
	case reasonBackendMissing, reasonCannotResolve, reasonUnavailable:
		return trouble("Submit", now.Reason, now.Message)
	}
	return occurrence{}
}

func whyNotSubmitted(job *v1alpha1.RemoteJob) *metav1.Condition {
	c := meta.FindStatusCondition(job.Status.Conditions, v1alpha1.ConditionSubmitted)
	if c == nil || c.Status != metav1.ConditionFalse {
		return nil
	}
	return c
}

// family is the first of the reasons that a container takes turns between while it can't be started, empty for one that is no trouble: an
// Event for each turn would tell nothing new.
func family(reason string) string {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff":
		return "ErrImagePull"
	case podlifecycle.ReasonRunContainerError, podlifecycle.ReasonCrashLoopBackOff, podlifecycle.ReasonPostStartHookError,
		"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError":
		return reason
	}
	return ""
}

// occurredTo is what a write of a RemoteBackend's status brought: that it can take jobs, or can't any more and why, or holds leftovers.
func occurredTo(before, after *v1alpha1.RemoteBackend) []occurrence {
	var out []occurrence
	was, is := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady), meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady)
	if is != nil && (was == nil || was.Status != is.Status || was.Reason != is.Reason) {
		kind := corev1.EventTypeWarning
		if is.Status == metav1.ConditionTrue || is.Reason == reasonConnecting || is.Reason == reasonDeleting {
			kind = corev1.EventTypeNormal
		}
		if is.Reason != reasonConnecting {
			out = append(out, occurrence{kind: kind, reason: is.Reason, action: "Connect", note: is.Message})
		}
	}
	if n := len(after.Status.Leftovers); n > 0 && len(before.Status.Leftovers) == 0 {
		out = append(out, occurrence{kind: corev1.EventTypeWarning, reason: reasonLeftovers, action: "Observe", note: fmt.Sprintf(
			"it holds %d jobs that no RemoteJob owns: status.leftovers lists them, and they are removed when they have been listed for a day", n)})
	}
	return out
}

// tell makes an Event of an occurrence.
func tell(recorder events.EventRecorder, about runtime.Object, o occurrence) {
	if o.reason != "" && recorder != nil {
		recorder.Eventf(about, nil, o.kind, o.reason, o.action, "%s", cut(o.note, maxNote))
	}
}
