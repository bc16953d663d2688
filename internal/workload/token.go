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

package workload

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/types"
)

// tokenPrefix begins every token, so that a person sees what made a container or a job.
const tokenPrefix = "rj-"

// PodToken is the token of a pod's job: its one name on a backend, for ever. No counter enters it, so whoever submits again, after
// whatever crash, meets what was submitted before.
func PodToken(ledgerID, namespace, uid string) string {
	return token("pod", ledgerID, namespace, uid)
}

// JobToken is the token of a RemoteJob that was written by hand and runs no pod of a cluster.
func JobToken(ledgerID string, jobUID types.UID) string {
	return token("job", ledgerID, string(jobUID))
}

// token hashes a domain word and parts. Each goes in with its length before it: no two lists of parts read alike.
func token(domain string, parts ...string) string {
	h := sha256.New()
	for _, part := range append([]string{domain}, parts...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return tokenPrefix + hex.EncodeToString(h.Sum(nil)[:16])
}
