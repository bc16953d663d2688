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
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// projection is a projected volume while it is put together.
type projection struct {
	*resolver
	set *fileSet
	// arrived is the volume's content as interLink sent it; not there for a hand-written pod.
	arrived FileData
	// unclaimed counts the arrived files that are no other source's than that of a whole object which did not arrive by itself.
	unclaimed int
}

// projectedVolume takes what arrived with the pod, and makes from ConfigMaps, Secrets and the pod what did not: all of a hand-written
// pod's volume, and those sources of an arrived one that interLink leaves out, which are the Secrets.
func (r *resolver) projectedVolume(at string, volume *corev1.Volume, set *fileSet) error {
	set.mode, set.user = *volume.Projected.DefaultMode, volume.Projected.DefaultUser
	p := &projection{resolver: r, set: set, arrived: r.payload.Projected[volume.Name]}
	if err := set.addArrived(at, p.arrived); err != nil {
		return err
	}
	if strings.HasPrefix(volume.Name, serviceAccountVolume) {
		// The API server adds this volume to every pod. Few jobs read it, so what is missing in it is no reason to refuse the pod.
		return nil
	}
	p.unclaimed = r.countUnclaimed(volume.Projected.Sources, p.arrived)
	for i := range volume.Projected.Sources {
		if err := p.source(fmt.Sprintf("%s.sources[%d]", at, i), &volume.Projected.Sources[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) source(at string, source *corev1.VolumeProjection) error {
	switch {
	case source.ConfigMap != nil:
		from := source.ConfigMap
		// interLink sends the files of ConfigMaps in the volume, so one that is missing by itself is there all the same, be it empty.
		here := p.arrived != nil
		return p.keys(at+".configMap", "ConfigMap", p.payload.ConfigMaps, from.Name, from.Items, from.Optional, here)
	case source.Secret != nil:
		from := source.Secret
		return p.keys(at+".secret", "Secret", p.payload.Secrets, from.Name, from.Items, from.Optional, p.unclaimed > 0)
	case source.DownwardAPI != nil:
		return p.downwardItems(at+".downwardAPI", source.DownwardAPI.Items, p.arrived, p.set)
	case source.ServiceAccountToken != nil:
		token := source.ServiceAccountToken
		data, ok := p.arrived[token.Path]
		if !ok {
			return refuse(at+".serviceAccountToken", ReasonUnsupported,
				"no token came with the pod, and none can be made for a job that is no pod of this cluster")
		}
		return p.set.add(at+".serviceAccountToken.path", token.Path, nil, token.User, data)
	default:
		return refuse(at, ReasonUnsupported, "this source of a projected volume is not supported")
	}
}

// keys puts in the keys of a ConfigMap or Secret. What arrived under an item's path is that item's: only its mode is still to be
// applied. here tells whether the files of an object without items may be among those that arrived.
func (p *projection) keys(at, kind string, all map[string]FileData, name string, items []corev1.KeyToPath, optional *bool, here bool) error {
	data, known := all[name]
	if len(items) == 0 {
		if !known && !here && !isTrue(optional) {
			return missing(at+".name", "volume %s: %s %s is not there", p.set.volume, kind, name)
		}
		return p.set.addKeys(at, kind+" "+name, data, nil, optional)
	}
	for i, item := range items {
		value, ok := p.arrived[item.Path]
		if !ok {
			value, ok = data[item.Key]
		}
		switch {
		case ok:
			if err := p.set.add(fmt.Sprintf("%s.items[%d].path", at, i), item.Path, item.Mode, item.User, value); err != nil {
				return err
			}
		case isTrue(optional):
		case !known:
			return missing(at+".name", "volume %s: %s %s is not there", p.set.volume, kind, name)
		default:
			return missing(fmt.Sprintf("%s.items[%d].key", at, i), "volume %s: %s %s has no key %s", p.set.volume, kind, name, item.Key)
		}
	}
	return nil
}

// countUnclaimed counts the arrived files that no source is known to have made. They are a Secret's only where no ConfigMap can have
// made them.
func (r *resolver) countUnclaimed(sources []corev1.VolumeProjection, arrived FileData) int {
	claimed := map[string]bool{}
	object := func(all map[string]FileData, name string, items []corev1.KeyToPath) (known bool) {
		for _, item := range items {
			claimed[item.Path] = true
		}
		data, known := all[name]
		if len(items) == 0 {
			for key := range data {
				claimed[key] = true
			}
		}
		return known || len(items) > 0
	}
	for i := range sources {
		switch source := &sources[i]; {
		case source.ConfigMap != nil:
			if !object(r.payload.ConfigMaps, source.ConfigMap.Name, source.ConfigMap.Items) {
				return 0
			}
		case source.Secret != nil:
			object(r.payload.Secrets, source.Secret.Name, source.Secret.Items)
		case source.DownwardAPI != nil:
			for _, item := range source.DownwardAPI.Items {
				claimed[item.Path] = true
			}
		case source.ServiceAccountToken != nil:
			claimed[source.ServiceAccountToken.Path] = true
		}
	}
	unclaimed := 0
	for name := range arrived {
		if !claimed[name] {
			unclaimed++
		}
	}
	return unclaimed
}
