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

package pluginapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// member is a member of an object; encoding/json's maps lose the order and what comes twice.
type member struct {
	key   string
	value json.RawMessage
}

func membersOf(raw json.RawMessage) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		if token == nil && err == nil {
			return nil, nil
		}
		return nil, errors.Join(err, fmt.Errorf("%v is no object", token))
	}
	var out []member
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		out = append(out, member{key.(string), value})
	}
	return out, nil
}

// slowScan does what scanPods does, with encoding/json.
func slowScan(body []byte) ([]facts, error) {
	pods := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		pods = nil
		if err := json.Unmarshal(body, &pods); err != nil {
			return nil, err
		}
	}
	var all []facts
	for _, raw := range pods {
		var f facts
		top, err := membersOf(raw)
		if err != nil {
			return nil, err
		}
		for _, m := range top {
			if err := f.slow(m); err != nil {
				return nil, err
			}
		}
		all = append(all, f)
	}
	return all, nil
}

func (f *facts) slow(m member) error {
	var err error
	text := func(raw json.RawMessage) (out string) {
		err = json.Unmarshal(raw, &out)
		return out
	}
	names := func(raw json.RawMessage) (out []string) {
		var list []json.RawMessage
		if err = json.Unmarshal(raw, &list); err != nil {
			return nil
		}
		for _, raw := range list {
			container, failed := membersOf(raw)
			name := ""
			for _, m := range container {
				if m.key == "name" {
					name = text(m.value)
				}
			}
			if failed != nil {
				err = failed
			}
			if name != "" {
				out = append(out, name)
			}
		}
		return out
	}
	switch normalised(m.key) {
	case "name", "podname":
		f.pod.Name = text(m.value)
	case "namespace", "podnamespace":
		f.pod.Namespace = text(m.value)
	case "uid", "poduid":
		f.pod.UID = types.UID(text(m.value))
	case "jid", "podjid":
		f.jobID = text(m.value)
	case "containers":
		f.containers = names(m.value)
	case "initcontainers":
		f.initContainers = names(m.value)
	case "metadata":
		members, failed := membersOf(m.value)
		if failed != nil {
			return failed
		}
		for _, m := range members {
			switch m.key {
			case "name":
				f.pod.Name = text(m.value)
			case "namespace":
				f.pod.Namespace = text(m.value)
			case "uid":
				f.pod.UID = types.UID(text(m.value))
			case "annotations":
				annotations, failed := membersOf(m.value)
				if failed != nil {
					return failed
				}
				for _, m := range annotations {
					switch m.key {
					case "JobID":
						f.jobID = text(m.value)
					case "remotejob.dev/backend":
						f.backend = text(m.value)
					case "interlink.eu/disable-offload-containers":
						f.kept = text(m.value)
					case "interlink.eu/disable-offload-init-containers":
						f.keptInit = text(m.value)
					}
				}
			}
		}
	case "spec":
		members, failed := membersOf(m.value)
		if failed != nil {
			return failed
		}
		for _, m := range members {
			switch m.key {
			case "nodeName":
				f.nodeName = text(m.value)
			case "containers":
				f.containers = names(m.value)
			case "initContainers":
				f.initContainers = names(m.value)
			}
		}
	}
	return err
}
