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
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// serviceAccountVolume is how the names of the volumes begin that the API server adds to pods for talking to it.
const serviceAccountVolume = "kube-api-access-"

// files are the pod's volumes that are made of files and that some container mounts.
func (r *resolver) files() (map[string]FileVolume, error) {
	mounted := mountedVolumes(&r.pod.Spec)
	out := map[string]FileVolume{}
	for i := range r.pod.Spec.Volumes {
		volume := &r.pod.Spec.Volumes[i]
		if !mounted[volume.Name] {
			continue
		}
		set := &fileSet{volume: volume.Name}
		var err error
		switch at := fmt.Sprintf("spec.volumes[%d]", i); {
		case volume.ConfigMap != nil:
			err = r.configMapVolume(at+".configMap", volume.ConfigMap, set)
		case volume.Secret != nil:
			err = r.secretVolume(at+".secret", volume.Secret, set)
		case volume.DownwardAPI != nil:
			err = r.downwardVolume(at+".downwardAPI", volume, set)
		case volume.Projected != nil:
			err = r.projectedVolume(at+".projected", volume, set)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if out[volume.Name], err = set.done(fmt.Sprintf("spec.volumes[%d]", i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fileSet is a volume's files while they are put together.
type fileSet struct {
	volume string
	// mode and user of files that say nothing of their own.
	mode  int32
	user  *int64
	files map[string]File
}

// add puts a file in; a later one of the same path replaces the earlier one, as on a kubelet.
func (s *fileSet) add(at, p string, mode *int32, user *int64, data []byte) error {
	clean, problem := cleanFilePath(p)
	if problem != "" {
		return refuse(at, ReasonInvalid, "the path %q of volume %s %s", p, s.volume, problem)
	}
	file := File{Path: clean, Mode: s.mode, User: s.user, Data: data}
	if mode != nil {
		file.Mode = *mode
	}
	if user != nil {
		file.User = user
	}
	setKey(&s.files, clean, file)
	return nil
}

// addKeys puts in the keys of a ConfigMap or Secret: those that items name, each under its path, or all.
func (s *fileSet) addKeys(at, what string, data FileData, items []corev1.KeyToPath, optional *bool) error {
	if len(items) == 0 {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
				return refuse(at, ReasonInvalid, "%s has the key %q: %s", what, key, problems[0])
			}
			if err := s.add(at, key, nil, nil, data[key]); err != nil {
				return err
			}
		}
		return nil
	}
	for i, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if isTrue(optional) {
				continue
			}
			return missing(fmt.Sprintf("%s.items[%d].key", at, i), "volume %s: %s has no key %s", s.volume, what, item.Key)
		}
		if err := s.add(fmt.Sprintf("%s.items[%d].path", at, i), item.Path, item.Mode, item.User, value); err != nil {
			return err
		}
	}
	return nil
}

// addArrived puts in the files that arrived with the pod. Their modes are still to be applied, by the sources that they came from.
func (s *fileSet) addArrived(at string, data FileData) error {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if err := s.add(at, name, nil, nil, data[name]); err != nil {
			return err
		}
	}
	return nil
}

// done is the volume. No file may lie where another has a directory.
func (s *fileSet) done(at string) (FileVolume, error) {
	volume := FileVolume{Files: []File{}}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		for dir := name; ; {
			slash := strings.LastIndexByte(dir, '/')
			if slash < 0 {
				break
			}
			dir = dir[:slash]
			if _, ok := s.files[dir]; ok {
				return volume, refuse(at, ReasonInvalid, "volume %s has both a file %s and a file %s below it", s.volume, dir, name)
			}
		}
		volume.Files = append(volume.Files, s.files[name])
	}
	return volume, nil
}

func (r *resolver) configMapVolume(at string, source *corev1.ConfigMapVolumeSource, set *fileSet) error {
	set.mode, set.user = *source.DefaultMode, source.DefaultUser
	data, err := r.volumeObject(r.payload.ConfigMaps, "ConfigMap", at+".name", set.volume, source.Name, source.Optional)
	if err != nil {
		return err
	}
	return set.addKeys(at, "ConfigMap "+source.Name, data, source.Items, source.Optional)
}

func (r *resolver) secretVolume(at string, source *corev1.SecretVolumeSource, set *fileSet) error {
	set.mode, set.user = *source.DefaultMode, source.DefaultUser
	data, err := r.volumeObject(r.payload.Secrets, "Secret", at+".secretName", set.volume, source.SecretName, source.Optional)
	if err != nil {
		return err
	}
	return set.addKeys(at, "Secret "+source.SecretName, data, source.Items, source.Optional)
}

func (r *resolver) volumeObject(all map[string]FileData, kind, at, volume, name string, optional *bool) (FileData, error) {
	data, ok := all[name]
	if !ok && !isTrue(optional) {
		return nil, missing(at, "volume %s: %s %s is not there", volume, kind, name)
	}
	return data, nil
}

// downwardVolume takes what arrived with the pod, else reads the pod itself.
func (r *resolver) downwardVolume(at string, volume *corev1.Volume, set *fileSet) error {
	set.mode, set.user = *volume.DownwardAPI.DefaultMode, volume.DownwardAPI.DefaultUser
	arrived := r.payload.Projected[volume.Name]
	if err := set.addArrived(at, arrived); err != nil {
		return err
	}
	return r.downwardItems(at, volume.DownwardAPI.Items, arrived, set)
}

func (r *resolver) downwardItems(at string, items []corev1.DownwardAPIVolumeFile, arrived FileData, set *fileSet) error {
	for i, item := range items {
		at := fmt.Sprintf("%s.items[%d]", at, i)
		data, ok := arrived[item.Path]
		if !ok {
			var value string
			var err error
			switch {
			case item.FieldRef != nil:
				value, err = r.fieldRef(at+".fieldRef", item.FieldRef)
			case item.ResourceFieldRef != nil:
				value, err = r.resourceFieldRef(at+".resourceFieldRef", item.ResourceFieldRef, nil)
			}
			if err != nil {
				return err
			}
			data = []byte(value)
		}
		if err := set.add(at+".path", item.Path, item.Mode, item.User, data); err != nil {
			return err
		}
	}
	return nil
}
