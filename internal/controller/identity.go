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

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// identity is what is to be made of the identity that a backend answers with.
type identity int

const (
	// identityKnown means that it is the one on record.
	identityKnown identity = iota
	// identityNew means that it is to go on record: there was none, or a person accepted the new one. Jobs wait for that.
	identityNew
	// identityChanged means that another machine answers in the place of the one that holds the jobs.
	identityChanged
)

// judgeIdentity compares the identity that a backend answers with to the one on record.
func judgeIdentity(rb *v1alpha1.RemoteBackend, answered string) identity {
	switch {
	case answered == "":
		return identityChanged
	case rb.Status.Identity == answered:
		return identityKnown
	case rb.Status.Identity == "" || rb.Annotations[v1alpha1.AnnotationAcceptIdentity] == answered:
		return identityNew
	}
	return identityChanged
}

func identityChangedWords(rb *v1alpha1.RemoteBackend, answered string) string {
	return fmt.Sprintf("another machine answers: its identity is %q, and the jobs are on %q; if that is meant, set the annotation %s to the new identity",
		answered, rb.Status.Identity, v1alpha1.AnnotationAcceptIdentity)
}
