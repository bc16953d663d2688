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
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
)

const (
	// annotationJobID is where interLink keeps what Create answered.
	annotationJobID = "JobID"
	// Containers that these annotations list stay on interLink's side and never arrive.
	annotationKeptContainers     = "interlink.eu/disable-offload-containers"
	annotationKeptInitContainers = "interlink.eu/disable-offload-init-containers"
)

// facts are what is needed of a pod in a question or a deletion, which carry the whole pod, or a PodStatus.
type facts struct {
	pod                        v1alpha1.PodReference
	jobID                      string
	backend, nodeName          string
	initContainers, containers []string
	keptInit, kept             string
}

func (f *facts) question() ledger.Question {
	return ledger.Question{
		Pod: f.pod, JobID: f.jobID,
		InitContainers: without(f.initContainers, f.keptInit), Containers: without(f.containers, f.kept),
	}
}

// without leaves out of names those of a comma-separated list.
func without(names []string, list string) []string {
	if list == "" {
		return names
	}
	kept := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" ,;\t\n[]\"'", r) })
	var out []string
next:
	for _, name := range names {
		for _, k := range kept {
			if k == name {
				continue next
			}
		}
		out = append(out, name)
	}
	return out
}

// scanPods reads the facts out of one pod or PodStatus, or a list of them.
func scanPods(body []byte) ([]facts, error) {
	s := strictjson.Scan(body)
	var all []facts
	one := func() error {
		f, err := scanPod(s)
		all = append(all, f)
		return err
	}
	var err error
	if s.Peek() == '[' {
		err = s.Array(one)
	} else {
		err = one()
	}
	if err == nil {
		err = s.End()
	}
	return all, err
}

func scanPod(s *strictjson.Scanner) (facts, error) {
	var f facts
	if s.Peek() != '{' {
		if err := s.Skip(); err != nil {
			return f, err
		}
		return f, &strictjson.TypeError{Field: "the body", Want: "a pod or a list of pods"}
	}
	err := s.Object(func(key []byte) (err error) {
		switch normalised(string(key)) {
		case "metadata":
			return s.Members("metadata", func(key []byte) error { return f.metadata(s, key) })
		case "spec":
			return s.Members("spec", func(key []byte) error { return f.spec(s, key) })
		case "name", "podname":
			f.pod.Name, err = s.Text("name")
		case "namespace", "podnamespace":
			f.pod.Namespace, err = s.Text("namespace")
		case "uid", "poduid":
			err = f.uid(s, "UID")
		case "jid", "podjid":
			f.jobID, err = s.Text("JID")
		case "containers":
			f.containers, err = containerNames(s, "containers")
		case "initcontainers":
			f.initContainers, err = containerNames(s, "initContainers")
		default:
			err = s.Skip()
		}
		return err
	})
	return f, err
}

func (f *facts) uid(s *strictjson.Scanner, field string) error {
	uid, err := s.Text(field)
	f.pod.UID = types.UID(uid)
	return err
}

func (f *facts) metadata(s *strictjson.Scanner, key []byte) (err error) {
	switch string(key) {
	case "name":
		f.pod.Name, err = s.Text("metadata.name")
	case "namespace":
		f.pod.Namespace, err = s.Text("metadata.namespace")
	case "uid":
		err = f.uid(s, "metadata.uid")
	case "annotations":
		err = s.Members("metadata.annotations", func(key []byte) (err error) {
			switch string(key) {
			case annotationJobID:
				f.jobID, err = s.Text("metadata.annotations[JobID]")
			case v1alpha1.AnnotationBackend:
				f.backend, err = s.Text("metadata.annotations[" + v1alpha1.AnnotationBackend + "]")
			case annotationKeptContainers:
				f.kept, err = s.Text("metadata.annotations[" + annotationKeptContainers + "]")
			case annotationKeptInitContainers:
				f.keptInit, err = s.Text("metadata.annotations[" + annotationKeptInitContainers + "]")
			default:
				err = s.Skip()
			}
			return err
		})
	default:
		err = s.Skip()
	}
	return err
}

func (f *facts) spec(s *strictjson.Scanner, key []byte) (err error) {
	switch string(key) {
	case "nodeName":
		f.nodeName, err = s.Text("spec.nodeName")
	case "containers":
		f.containers, err = containerNames(s, "spec.containers")
	case "initContainers":
		f.initContainers, err = containerNames(s, "spec.initContainers")
	default:
		err = s.Skip()
	}
	return err
}

// containerNames returns the names of a list of containers, which may be null.
func containerNames(s *strictjson.Scanner, field string) ([]string, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	if s.Peek() != '[' {
		if err := s.Skip(); err != nil {
			return nil, err
		}
		return nil, &strictjson.TypeError{Field: field, Want: "a list"}
	}
	var names []string
	err := s.Array(func() error {
		var name string
		if err := s.Members(field, func(key []byte) (err error) {
			if string(key) == "name" {
				name, err = s.Text(field + ".name")
				return err
			}
			return s.Skip()
		}); err != nil {
			return err
		}
		if name != "" {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}
