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

package script

import (
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
)

// rivals are options that say the same thing in different ways: sbatch refuses some of them side by side, and of the others it is not
// clear which holds. Who adds one takes the others away.
var rivals = [][]string{
	{"mem", "mem-per-cpu", "mem-per-gpu"},
	{"cpus-per-task", "cpus-per-gpu"},
	{"ntasks", "ntasks-per-node", "ntasks-per-gpu", "ntasks-per-core", "ntasks-per-socket"},
}

// gpuOptions ask for GPUs beside gres.
var gpuOptions = []string{"gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"}

// optionSet holds each option once.
type optionSet struct{ list []sbatch.Flag }

// add adds the options of one origin: they go before those that are there, and stand beside each other.
func (o *optionSet) add(flags ...sbatch.Flag) {
	for _, f := range flags {
		o.remove(f.Name)
		for _, group := range rivals {
			if slices.Contains(group, f.Name) {
				o.removeUnless(group, flags)
			}
		}
		switch {
		case slices.Contains(gpuOptions, f.Name):
			o.removeUnless(gpuOptions, flags)
			if !has(flags, "gres") {
				o.removeGPUs()
			}
		case f.Name == "gres" && isGPU(f.Value):
			o.removeUnless(gpuOptions, flags)
		}
	}
	for _, f := range flags {
		o.remove(f.Name)
		o.list = append(o.list, f)
	}
}

func (o *optionSet) addValue(name, value string) {
	if value != "" {
		o.add(sbatch.Flag{Name: name, Value: value, HasValue: true})
	}
}

func (o *optionSet) remove(name string) {
	o.list = slices.DeleteFunc(o.list, func(f sbatch.Flag) bool { return f.Name == name })
}

// removeUnless removes the options of a group that are not among those that are being added.
func (o *optionSet) removeUnless(group []string, adding []sbatch.Flag) {
	for _, name := range group {
		if !has(adding, name) {
			o.remove(name)
		}
	}
}

// removeGPUs takes the GPUs out of gres and leaves what else is in it.
func (o *optionSet) removeGPUs() {
	gres, ok := o.get("gres")
	if !ok {
		return
	}
	o.remove("gres")
	rest := slices.DeleteFunc(strings.Split(gres, ","), isGPU)
	o.addValue("gres", strings.Join(rest, ","))
}

func (o *optionSet) get(name string) (string, bool) {
	for _, f := range o.list {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

func (o *optionSet) flags() []sbatch.Flag { return o.list }
