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
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// find returns the RemoteJob that is meant by a RemoteJob's name, by pod/NAME, or by a pod's UID.
func find(ctx context.Context, c client.Client, namespace, name string) (*v1alpha1.RemoteJob, error) {
	if pod, ok := strings.CutPrefix(name, "pod/"); ok {
		return one(ctx, c, namespace, "pod "+pod, func(ref *v1alpha1.PodReference) bool { return ref.Name == pod })
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "rj/"), "remotejob/")
	job := &v1alpha1.RemoteJob{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, job)
	if err == nil || !apierrors.IsNotFound(err) && !apierrors.IsBadRequest(err) {
		return job, err
	}
	byUID := func(ref *v1alpha1.PodReference) bool { return string(ref.UID) == name }
	var labelled []client.ListOption
	if len(validation.IsValidLabelValue(name)) == 0 { // others are hashed
		labelled = append(labelled, client.MatchingLabels{v1alpha1.LabelPodUID: name})
	}
	// A UID is unique among all namespaces; who may not list them all is asked about their own.
	job, allErr := one(ctx, c, "", "UID "+name, byUID, labelled...)
	if apierrors.IsForbidden(allErr) {
		job, allErr = one(ctx, c, namespace, "UID "+name, byUID, labelled...)
	}
	if errors.Is(allErr, errNone) {
		return nil, noneError(fmt.Sprintf("there is no RemoteJob %q in the namespace %s, and none of a pod with that UID", name, namespace))
	}
	return job, allErr
}

var errNone = errors.New("there is no such RemoteJob")

// noneError is errNone in other words.
type noneError string

func (e noneError) Error() string { return string(e) }

func (noneError) Is(target error) bool { return target == errNone }

// one returns the one RemoteJob whose pod is meant.
func one(ctx context.Context, c client.Client, namespace, what string, meant func(*v1alpha1.PodReference) bool, opts ...client.ListOption) (*v1alpha1.RemoteJob, error) {
	list := &v1alpha1.RemoteJobList{}
	if err := c.List(ctx, list, append(opts, client.InNamespace(namespace))...); err != nil {
		return nil, err
	}
	var found []*v1alpha1.RemoteJob
	for i := range list.Items {
		if ref := list.Items[i].Spec.PodRef; ref != nil && meant(ref) {
			found = append(found, &list.Items[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s", errNone, what)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, job := range found {
		names = append(names, job.Namespace+"/"+job.Name)
	}
	return nil, fmt.Errorf("several RemoteJobs are of %s, name one of them: %s", what, strings.Join(names, ", "))
}

// podOf is a job's pod for people, empty for one that a person wrote.
func podOf(job *v1alpha1.RemoteJob) string {
	if ref := job.Spec.PodRef; ref != nil {
		return ref.Namespace + "/" + ref.Name
	}
	return ""
}

// containersOf are the names of a job's containers, those that come first first.
func containersOf(job *v1alpha1.RemoteJob) []string {
	var names []string
	spec := &job.Spec.Template.Spec
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	return names
}
