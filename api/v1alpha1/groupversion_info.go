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

// Package v1alpha1 holds the two kinds of remotejob.dev: RemoteJob, one pod that runs on a machine which is no node of the
// cluster, and RemoteBackend, such a machine or batch system.
// +kubebuilder:object:generate=true
// +groupName=remotejob.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of the kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "remotejob.dev", Version: "v1alpha1"}

// AddToScheme makes the kinds of this package known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &RemoteJob{}, &RemoteJobList{}, &RemoteBackend{}, &RemoteBackendList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

const (
	// LabelPodUID holds the UID of the pod that a RemoteJob runs, hashed where it would not be a valid label value.
	LabelPodUID = "remotejob.dev/pod-uid"
	// LabelBackend holds the name of the RemoteBackend that a RemoteJob runs on, hashed where it would not be a valid label value.
	LabelBackend = "remotejob.dev/backend"
	// FinalizerCancel keeps a RemoteJob until nothing of it is left on its backend, and a RemoteBackend until its jobs have ended.
	FinalizerCancel = "remotejob.dev/cancel"
	// AnnotationBackend on a pod names the RemoteBackend that it is to run on.
	AnnotationBackend = "remotejob.dev/backend"
	// AnnotationSession on a RemoteJob is the InterLink-Http-Session of the call that brought its pod, for the log.
	AnnotationSession = "remotejob.dev/interlink-session"
	// AnnotationTrace on a RemoteJob is the trace of that call (W3C traceparent), where the manager sends traces.
	AnnotationTrace = "remotejob.dev/traceparent"
	// AnnotationAcceptIdentity on a RemoteBackend takes the identity that the backend has now, given as its value, for the right one,
	// after the machine behind it was replaced on purpose.
	AnnotationAcceptIdentity = "remotejob.dev/accept-identity"
)
