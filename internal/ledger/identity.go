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
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

const (
	// nameHashLength is how many base32 digits of a hash end a RemoteJob's name: 80 bits.
	nameHashLength = 16
	// nameMaxLength keeps the name usable as a label's value.
	nameMaxLength = validation.LabelValueMaxLength
	// identityMaxLength bounds each part of a pod's identity, as the API does.
	identityMaxLength = validation.DNS1123SubdomainMaxLength
)

// Name returns the name of the RemoteJob that runs a pod. It depends on the pod alone, so whoever is asked to run the same pod again
// meets the RemoteJob that is there already.
func Name(namespace, name string, uid types.UID) string {
	sum := digest("remotejob", namespace, name, string(uid))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:nameHashLength]
	base := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	base = strings.TrimLeft(base, "-")
	base = strings.TrimRight(base[:min(len(base), nameMaxLength-nameHashLength-1)], "-")
	if base == "" {
		base = "pod"
	}
	return base + "-" + hash
}

func nameOf(pod v1alpha1.PodReference) string { return Name(pod.Namespace, pod.Name, pod.UID) }

// LabelValue returns s where it is a valid label value, else a hash of it that is one.
func LabelValue(s string) string {
	if s != "" && len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	sum := digest("label", s)
	return "sha256-" + hex.EncodeToString(sum[:20])
}

// digest hashes a domain word and parts. Each part goes in with its length, so that no two lists of parts run together.
func digest(domain string, parts ...string) [sha256.Size]byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range append([]string{domain}, parts...) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// samePod tells whether a RemoteJob is the one of a pod.
func samePod(job *v1alpha1.RemoteJob, pod v1alpha1.PodReference) bool {
	return job.Spec.PodRef != nil && *job.Spec.PodRef == pod
}

// checkIdentity refuses a pod that can't be told from others for ever.
func checkIdentity(pod v1alpha1.PodReference) *Error {
	for _, part := range []struct{ field, value string }{
		{"metadata.uid", string(pod.UID)}, {"metadata.name", pod.Name}, {"metadata.namespace", pod.Namespace},
	} {
		switch {
		case part.value == "":
			return Errorf(Invalid, ReasonInvalid, "%s of the pod is missing", part.field)
		case len(part.value) > identityMaxLength:
			return Errorf(Invalid, ReasonInvalid, "%s of the pod is longer than %d bytes", part.field, identityMaxLength)
		}
	}
	if len(validation.IsDNS1123Subdomain(pod.Name)) > 0 {
		return Errorf(Invalid, ReasonInvalid, "metadata.name of the pod is %q, which is no valid name of a pod", pod.Name)
	}
	if len(validation.IsDNS1123Label(pod.Namespace)) > 0 {
		return Errorf(Invalid, ReasonInvalid, "metadata.namespace of the pod is %q, which is no valid name of a namespace", pod.Namespace)
	}
	return nil
}
