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

package ledger

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// check finds out whether a backend can run a pod just as it says.
func check(pod *corev1.Pod, jobScript string, backend Backend) error {
	if err := workload.Check(pod, backend.Abilities, backend.Policy); err != nil {
		return refused(err)
	}
	if err := workload.CheckJobScript(jobScript, backend.Abilities, backend.Policy); err != nil {
		return refused(err)
	}
	return nil
}

// split takes apart what may be read in a RemoteJob and what may not, and puts to the latter what arrived beside the pod.
func split(pod *corev1.Pod, beside *workload.Payload) (corev1.PodTemplateSpec, *workload.Payload) {
	template, payload := workload.Split(pod)
	payload.ConfigMaps, payload.Secrets, payload.Projected = beside.ConfigMaps, beside.Secrets, beside.Projected
	payload.JobScript = beside.JobScript
	return template, &payload
}

// tryResolve finds out whether what is to be recorded can be put together again: a pod that refers to something that did not arrive
// with it never can.
func tryResolve(d *draft, payload *workload.Payload) error {
	_, err := workload.Resolve(workload.ResolveRequest{
		Template: d.template, Payload: *payload, Namespace: d.pod.Namespace, Name: d.pod.Name, UID: d.pod.UID,
	})
	if err != nil {
		return refused(err)
	}
	return nil
}

// refused turns what is wrong with a pod into an answer.
func refused(err error) *Error {
	if refusal, ok := workload.IsRefusal(err); ok {
		kind := Refused
		if refusal.Reason == workload.ReasonInvalid {
			kind = Invalid
		}
		return Errorf(kind, refusal.Reason, "%s", refusal.Error())
	}
	if config, ok := workload.IsConfigError(err); ok {
		return Errorf(Invalid, ReasonInvalid, "%s", config.Error())
	}
	return &Error{Kind: Refused, Reason: ReasonRefused, Message: "the pod can't be put together", Err: err}
}
