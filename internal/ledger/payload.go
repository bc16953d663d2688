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
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const (
	// LabelPayloadOf marks payload Secrets. Its value is the name of their RemoteJob.
	LabelPayloadOf = "remotejob.dev/payload-of"
	// payloadType is the type of payload Secrets.
	payloadType corev1.SecretType = "remotejob.dev/payload"
	// payloadKey holds a payload Secret's part of the payload.
	payloadKey = "payload"
	// payloadVersion is the first byte of an encoded payload; JSON follows.
	payloadVersion byte = 1
	// payloadPartSize bounds the content of one payload Secret. The API server takes 1 MiB of it, and etcd 1.5 MiB with all around it.
	payloadPartSize = 960 << 10
	// maxPayloadParts is how many payload Secrets a RemoteJob can list.
	maxPayloadParts = 64
)

// encodePayload turns a payload into the parts that go into Secrets. The same payload always gives the same parts.
func encodePayload(p *workload.Payload) ([][]byte, error) {
	if p.Empty() {
		return nil, nil
	}
	var buffer bytes.Buffer
	buffer.WriteByte(payloadVersion)
	if err := json.NewEncoder(&buffer).Encode(p); err != nil {
		return nil, fmt.Errorf("encode the payload: %w", err)
	}
	all := buffer.Bytes()
	var parts [][]byte
	for len(all) > 0 {
		n := min(len(all), payloadPartSize)
		parts = append(parts, all[:n:n])
		all = all[n:]
	}
	if len(parts) > maxPayloadParts {
		return nil, Errorf(Refused, ReasonTooLarge, "what came with the pod (env, ConfigMaps, Secrets, scripts) is %d MiB, more than the %d MiB that the ledger keeps",
			buffer.Len()>>20, maxPayloadParts*payloadPartSize>>20)
	}
	return parts, nil
}

func sizeOf(parts [][]byte) (bytes int) {
	for _, part := range parts {
		bytes += len(part)
	}
	return bytes
}

// decodePayload puts the parts of a payload together again. Its errors quote nothing of the content.
func decodePayload(parts [][]byte) (*workload.Payload, error) {
	all := bytes.Join(parts, nil)
	switch {
	case len(all) == 0:
		return &workload.Payload{}, nil
	case all[0] != payloadVersion:
		return nil, fmt.Errorf("is of version %d, which this version of the operator does not know", all[0])
	}
	payload := &workload.Payload{}
	if json.Unmarshal(all[1:], payload) != nil {
		return nil, fmt.Errorf("can't be decoded")
	}
	return payload, nil
}

// payloadName names the Secret of one part by its content, its place and its RemoteJob, so that a Secret of that name holds that part or
// nothing of use.
func payloadName(job string, part, parts int, content []byte) string {
	sum := digest("payload", job, strconv.Itoa(part), strconv.Itoa(parts), string(content))
	return job + "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}

// payloadSecrets returns the Secrets that hold the parts of a RemoteJob's payload, in order.
func payloadSecrets(namespace, job string, parts [][]byte) []*corev1.Secret {
	immutable := true
	secrets := make([]*corev1.Secret, 0, len(parts))
	for i, part := range parts {
		secrets = append(secrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: payloadName(job, i, len(parts), part),
				Labels: map[string]string{LabelPayloadOf: job},
			},
			Immutable: &immutable,
			Type:      payloadType,
			Data:      map[string][]byte{payloadKey: part},
		})
	}
	return secrets
}
