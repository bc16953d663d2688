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

package plan

import (
	"reflect"
	"testing"
	"time"
)

var kinds = []Kind{KillManager, StopEtcd, CutLine}

func options(seed uint64) Options {
	return Options{Seed: seed, Pods: 200, Faults: 7, DockerPods: 30, PodmanPods: 20, Kinds: kinds, Pace: time.Second}
}

func mustMake(t *testing.T, o Options) *Plan {
	t.Helper()
	p, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASeedIsOnePlan(t *testing.T) {
	one, same, other := mustMake(t, options(1)), mustMake(t, options(1)), mustMake(t, options(2))
	if !reflect.DeepEqual(one, same) {
		t.Error("a seed made two plans")
	}
	if reflect.DeepEqual(one.Pods, other.Pods) || reflect.DeepEqual(one.Faults, other.Faults) {
		t.Error("two seeds made one plan")
	}
}

func TestAPlanIsAsItWasAskedFor(t *testing.T) {
	p := mustMake(t, options(3))
	if len(p.Pods) != 200 || len(p.Faults) != 7 || p.Length != 7*time.Second {
		t.Fatalf("%d pods, %d faults, %s", len(p.Pods), len(p.Faults), p.Length)
	}
	backends, classes := map[Backend]int{}, map[Class]int{}
	for _, pod := range p.Pods {
		classes[pod.Class]++
		backends[pod.Backend]++
		if pod.At < 0 || pod.At >= p.Length {
			t.Errorf("pod %d comes at %s", pod.Index, pod.At)
		}
	}
	if backends[Docker] != 30 || backends[Podman] != 20 || backends[SLURM] != 150 {
		t.Errorf("the backends have %v", backends)
	}
	for _, c := range []Class{Quick, Files, Pair, Retry, Endless, Raced} {
		if classes[c] == 0 {
			t.Errorf("no pod is %s", c)
		}
	}
	count := map[Kind]int{}
	for i, f := range p.Faults {
		count[f.Kind]++
		if i > 0 && f.At < p.Faults[i-1].At {
			t.Errorf("fault %d comes before the one before it", i)
		}
	}
	for _, k := range kinds {
		if count[k] < 2 {
			t.Errorf("%s strikes %d times of 7, and there are 3 kinds", k, count[k])
		}
	}
}

func TestNoPlanIsMadeOfNonsense(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no pods":              func(o *Options) { o.Pods = 0 },
		"more on Docker":       func(o *Options) { o.DockerPods = 181 },
		"faults without kinds": func(o *Options) { o.Kinds = nil },
		"no time":              func(o *Options) { o.Pace = 0 },
	} {
		o := options(1)
		change(&o)
		if _, err := Make(o); err == nil {
			t.Errorf("%s: a plan was made", name)
		}
	}
}
