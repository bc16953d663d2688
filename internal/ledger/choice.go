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

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// BackendChoice is what is known of where a pod is to run.
type BackendChoice struct {
	// Annotation is the pod's annotation remotejob.dev/backend.
	Annotation string
	// NodeName is the virtual node that the pod is bound to.
	NodeName string
	// Endpoint is the backend of the address that the call came in at, empty where that has none.
	Endpoint string
}

// ChoiceOf returns what a pod and the address that it came in at say about where it is to run.
func ChoiceOf(pod *corev1.Pod, endpoint string) BackendChoice {
	return BackendChoice{Annotation: pod.Annotations[v1alpha1.AnnotationBackend], NodeName: pod.Spec.NodeName, Endpoint: endpoint}
}

// backendName returns the name of the backend that is chosen: by the annotation, else the one that is named like the pod's virtual node,
// else the address's own, else the default. It is empty where nothing chooses one.
func (l *Ledger) backendName(choice BackendChoice) string {
	if choice.Annotation != "" {
		return choice.Annotation
	}
	if choice.NodeName != "" {
		if _, ok := l.backends.Backend(choice.NodeName); ok {
			return choice.NodeName
		}
	}
	if choice.Endpoint != "" {
		return choice.Endpoint
	}
	return l.defaultBackend
}

// choose returns the backend of a pod, or why there is none for it.
func (l *Ledger) choose(choice BackendChoice) (string, Backend, *Error) {
	name := l.backendName(choice)
	if name == "" {
		return "", Backend{}, Errorf(Refused, ReasonNoBackend,
			"there is no backend for the pod: neither the annotation %s nor a RemoteBackend named like its node names one, and no default is set", v1alpha1.AnnotationBackend)
	}
	backend, ok := l.backends.Backend(name)
	switch {
	case !ok && choice.Annotation != "":
		return "", Backend{}, Errorf(Refused, ReasonNoBackend, "metadata.annotations[%s]: there is no RemoteBackend %q", v1alpha1.AnnotationBackend, name)
	case !ok:
		return "", Backend{}, Errorf(Refused, ReasonNoBackend, "there is no RemoteBackend %q, where pods that name none would go", name)
	case backend.Deleting:
		return "", Backend{}, Errorf(Refused, ReasonNoBackend, "RemoteBackend %q is being deleted and takes no more pods", name)
	case choice.Annotation != "" && backend.Policy.AllowAnnotationSelection != nil && !*backend.Policy.AllowAnnotationSelection:
		return "", Backend{}, Errorf(Refused, ReasonRefused, "metadata.annotations[%s]: the policy of RemoteBackend %q (allowAnnotationSelection) does not let pods choose it", v1alpha1.AnnotationBackend, name)
	}
	return name, backend, nil
}
