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

package main

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// maxNote is how many bytes of a note the API takes.
const maxNote = 1024

// refusals tells of pods that /create refuses before there is a RemoteJob, by Events about them: so kubectl describe pod shows it where
// the pod is in this cluster, and whoever knows the pod's UID finds it here where it is in another. They go where the pod's RemoteJob
// would have gone for certain: into the namespace for all, where there is one.
func refusals(recorder events.EventRecorder, namespace string) func(v1alpha1.PodReference, string, string) {
	return func(ref v1alpha1.PodReference, reason, message string) {
		pod := &corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID},
		}
		if namespace != "" {
			pod.Namespace = namespace
		}
		recorder.Eventf(pod, nil, corev1.EventTypeWarning, reason, "Create", "%s", note(message))
	}
}

// note shortens a text to what an Event can hold.
func note(message string) string {
	const mark = "…"
	if len(message) > maxNote {
		message = strings.ToValidUTF8(message[:maxNote-len(mark)], "") + mark
	}
	return message
}
