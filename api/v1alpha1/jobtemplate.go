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

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
)

// JobTemplate is a pod's metadata and spec. The API server takes any object for it, so what it holds may not be a pod at all. Lists and
// watches of RemoteJobs are decoded as a whole, and one bad template must not keep all jobs from everybody: it comes out empty, with Problem
// set.
type JobTemplate struct {
	corev1.PodTemplateSpec `json:",inline"`

	// Problem says in words why what was read can't be decoded, or which of its fields are not known.
	Problem string `json:"-"`
}

// UnmarshalJSON fails for nothing that is JSON.
func (t *JobTemplate) UnmarshalJSON(text []byte) error {
	*t = JobTemplate{}
	if err := strictjson.Unmarshal(text, &t.PodTemplateSpec, "spec.template"); err != nil {
		*t = JobTemplate{Problem: err.Error()}
	}
	return nil
}
