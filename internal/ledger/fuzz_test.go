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
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// FuzzDecodePayload reads what may stand in payload Secrets. What can be read is written the same way ever after.
func FuzzDecodePayload(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add([]byte("\x01{}"), 1)
	f.Add([]byte("\x02{}"), 1)
	f.Add([]byte("\x01{\"configMaps\":{\"a\":{\"b\":\"AA==\"}},\"jobScript\":\"x\"}"), 7)
	f.Add([]byte("\x01null"), 3)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		cut = min(max(cut, 0), len(content))
		payload, err := decodePayload([][]byte{content[:cut], content[cut:]})
		if err != nil {
			if len(content) > 16 && bytes.Contains([]byte(err.Error()), content[8:]) {
				t.Fatalf("the error quotes the content: %v", err)
			}
			return
		}
		parts, err := encodePayload(payload)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodePayload(parts)
		if err != nil || !apiequality.Semantic.DeepEqual(payload, again) {
			t.Fatalf("%+v became %+v, %v", payload, again, err)
		}
		second, err := encodePayload(again)
		if err != nil || !bytes.Equal(bytes.Join(parts, nil), bytes.Join(second, nil)) {
			t.Fatalf("%q became %q, %v", parts, second, err)
		}
	})
}

// FuzzEncodePayload writes what came with a pod, and reads it again.
func FuzzEncodePayload(f *testing.F) {
	f.Add("cfg", "key", []byte{0, 0xff}, "#!/bin/sh\n")
	f.Add("", "", []byte(nil), "\xff")
	f.Fuzz(func(t *testing.T, object, key string, data []byte, script string) {
		payload := &workload.Payload{
			ConfigMaps: map[string]workload.FileData{object: {key: data}}, Secrets: map[string]workload.FileData{object: {key: data}}, JobScript: script,
		}
		parts, err := encodePayload(payload)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodePayload(parts)
		if err != nil {
			t.Fatal(err)
		}
		for _, files := range again.Secrets {
			for _, content := range files {
				if !bytes.Equal(content, data) {
					t.Fatalf("%q became %q", data, content)
				}
			}
		}
		for i, secret := range payloadSecrets("ns", "job-0123456789abcdef", parts) {
			if problems := validation.IsDNS1123Subdomain(secret.Name); len(problems) > 0 {
				t.Fatalf("%q is no name: %v", secret.Name, problems)
			}
			if secret.Name == payloadName("job-0123456789abcdef", i+1, len(parts), parts[i]) || secret.Name == payloadName("job", i, len(parts), parts[i]) {
				t.Fatal("two Secrets share a name")
			}
		}
	})
}
