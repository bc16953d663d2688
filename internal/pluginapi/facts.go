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
	s := &scanner{data: body}
	var all []facts
	one := func() error {
		f, err := s.pod()
		all = append(all, f)
		return err
	}
	var err error
	if s.peek() == '[' {
		err = s.array(one)
	} else {
		err = one()
	}
	if err == nil {
		err = s.end()
	}
	return all, err
}

func (s *scanner) pod() (facts, error) {
	var f facts
	if s.peek() != '{' {
		if err := s.skip(); err != nil {
			return f, err
		}
		return f, &typeError{field: "the body", want: "a pod or a list of pods"}
	}
	err := s.object(func(key []byte) (err error) {
		switch normalised(string(key)) {
		case "metadata":
			return s.members("metadata", func(key []byte) error { return s.metadata(key, &f) })
		case "spec":
			return s.members("spec", func(key []byte) error { return s.spec(key, &f) })
		case "name", "podname":
			f.pod.Name, err = s.text("name")
		case "namespace", "podnamespace":
			f.pod.Namespace, err = s.text("namespace")
		case "uid", "poduid":
			err = s.uid("UID", &f)
		case "jid", "podjid":
			f.jobID, err = s.text("JID")
		case "containers":
			f.containers, err = s.names("containers")
		case "initcontainers":
			f.initContainers, err = s.names("initContainers")
		default:
			err = s.skip()
		}
		return err
	})
	return f, err
}

func (s *scanner) uid(field string, f *facts) error {
	uid, err := s.text(field)
	f.pod.UID = types.UID(uid)
	return err
}

func (s *scanner) metadata(key []byte, f *facts) (err error) {
	switch string(key) {
	case "name":
		f.pod.Name, err = s.text("metadata.name")
	case "namespace":
		f.pod.Namespace, err = s.text("metadata.namespace")
	case "uid":
		err = s.uid("metadata.uid", f)
	case "annotations":
		err = s.members("metadata.annotations", func(key []byte) (err error) {
			switch string(key) {
			case annotationJobID:
				f.jobID, err = s.text("metadata.annotations[JobID]")
			case v1alpha1.AnnotationBackend:
				f.backend, err = s.text("metadata.annotations[" + v1alpha1.AnnotationBackend + "]")
			case annotationKeptContainers:
				f.kept, err = s.text("metadata.annotations[" + annotationKeptContainers + "]")
			case annotationKeptInitContainers:
				f.keptInit, err = s.text("metadata.annotations[" + annotationKeptInitContainers + "]")
			default:
				err = s.skip()
			}
			return err
		})
	default:
		err = s.skip()
	}
	return err
}

func (s *scanner) spec(key []byte, f *facts) (err error) {
	switch string(key) {
	case "nodeName":
		f.nodeName, err = s.text("spec.nodeName")
	case "containers":
		f.containers, err = s.names("spec.containers")
	case "initContainers":
		f.initContainers, err = s.names("spec.initContainers")
	default:
		err = s.skip()
	}
	return err
}

// members walks through an object that may be null.
func (s *scanner) members(field string, member func(key []byte) error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.peek() != '{' {
		if err := s.skip(); err != nil {
			return err
		}
		return &typeError{field: field, want: "an object"}
	}
	return s.object(member)
}

// names returns the names of a list of containers, which may be null.
func (s *scanner) names(field string) ([]string, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	if s.peek() != '[' {
		if err := s.skip(); err != nil {
			return nil, err
		}
		return nil, &typeError{field: field, want: "a list"}
	}
	var names []string
	err := s.array(func() error {
		var name string
		if err := s.members(field, func(key []byte) (err error) {
			if string(key) == "name" {
				name, err = s.text(field + ".name")
				return err
			}
			return s.skip()
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
