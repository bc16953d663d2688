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
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// optionsOf brings the options together. What comes later goes before what came earlier: the backend's defaults, the flavor, what the
// pod's resources come to, the #SBATCH lines of a job script, the pod's annotation, and last what the operator finds its jobs by.
func optionsOf(in Input) (*optionSet, error) {
	pod, spec := in.Workload.Pod, in.Spec
	need := resourcesOf(&pod.Spec)
	flavor, err := flavorOf(pod, need, spec.Flavors)
	if err != nil {
		return nil, err
	}
	own, err := podFlags(in.Workload, spec.AllowedFlags)
	if err != nil {
		return nil, err
	}

	o := &optionSet{}
	o.add(sbatch.Flag{Name: "nodes", Value: "1", HasValue: true}, sbatch.Flag{Name: "ntasks", Value: "1", HasValue: true})
	o.defaults(spec.Defaults)
	if err := o.flavor(flavor); err != nil {
		return nil, err
	}
	o.resources(need)
	o.deadline(&pod.Spec)
	o.add(own...)
	if pod.Annotations[workload.AnnotationSlurmMPIFlags] != "" && !has(own, "nodes") && !has(flavorFlags(flavor), "nodes") {
		// The ranks may be spread, as they are where nobody says how many nodes there are to be.
		o.remove("nodes")
	}
	o.add(operatorFlags(in)...)
	return o, nil
}

// podFlags are the options that come with the pod, checked.
func podFlags(w *workload.Workload, allowed []string) ([]sbatch.Flag, error) {
	directives, err := sbatch.Directives(w.JobScript)
	if err == nil {
		err = sbatch.Check(directives, allowed)
	}
	if err != nil {
		return nil, fmt.Errorf("jobScript: %w", err)
	}
	annotated, err := sbatch.Parse(w.Pod.Annotations[workload.AnnotationSlurmFlags])
	if err == nil {
		err = sbatch.Check(annotated, allowed)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata.annotations[%s]: %w", workload.AnnotationSlurmFlags, err)
	}
	return slices.Concat(directives, annotated), nil
}

func (o *optionSet) defaults(d v1alpha1.SlurmDefaults) {
	o.addValue("partition", d.Partition)
	o.addValue("account", d.Account)
	if d.TimeLimit != nil {
		o.addValue("time", FormatTime(d.TimeLimit.Duration))
	}
	cpus := int32(1)
	if d.CPUs != nil {
		cpus = *d.CPUs
	}
	o.addValue("cpus-per-task", strconv.Itoa(int(cpus)))
	if d.Memory != nil {
		o.addValue("mem", mebibytes(d.Memory.Value()))
	}
}

func (o *optionSet) flavor(f *v1alpha1.SlurmFlavor) error {
	if f == nil {
		return nil
	}
	flags, err := checkFlavor(f)
	if err != nil {
		return err
	}
	if f.CPUs != nil {
		o.addValue("cpus-per-task", strconv.Itoa(int(*f.CPUs)))
	}
	if f.Memory != nil {
		o.addValue("mem", mebibytes(f.Memory.Value()))
	}
	o.add(flags...)
	return nil
}

// resources are what the pod itself asks for. A flavor's kind of GPU stays; how many is the pod's to say.
func (o *optionSet) resources(need resources) {
	if need.milliCPUs > 0 {
		o.addValue("cpus-per-task", strconv.FormatInt((need.milliCPUs+999)/1000, 10))
	}
	if need.memory > 0 {
		o.addValue("mem", mebibytes(need.memory+ownMemory))
	}
	if len(need.gpus) == 0 {
		return
	}
	gres, _ := o.get("gres")
	if len(need.gpus) == 1 && need.gpus[0].kind == "" {
		if counted, ok := recount(gres, need.gpus[0].count); ok {
			o.addValue("gres", counted)
			return
		}
	}
	var list []string
	for entry := range strings.SplitSeq(gres, ",") {
		if entry != "" && !isGPU(entry) {
			list = append(list, entry)
		}
	}
	for _, g := range need.gpus {
		list = append(list, g.gres())
	}
	o.addValue("gres", strings.Join(list, ","))
}

// deadline is the time that a pod with a deadline may take. podrunner ends it by its own clock; SLURM's limit is there should that fail.
func (o *optionSet) deadline(spec *corev1.PodSpec) {
	if spec.ActiveDeadlineSeconds == nil {
		return
	}
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if spec.TerminationGracePeriodSeconds != nil {
		grace = *spec.TerminationGracePeriodSeconds
	}
	o.addValue("time", FormatTime(seconds(*spec.ActiveDeadlineSeconds)+seconds(grace)+timeReserve))
}

// operatorFlags are those that no pod can set.
func operatorFlags(in Input) []sbatch.Flag {
	base := jobdir.Base(in.Spec.BaseDirectory)
	value := func(name, value string) sbatch.Flag { return sbatch.Flag{Name: name, Value: value, HasValue: true} }
	flags := []sbatch.Flag{
		{Name: "parsable"},
		value("job-name", in.Workload.Token),
		value("comment", queue.CommentOf(in.Workload).String()),
		value("chdir", in.Spec.BaseDirectory),
		value("output", escapePattern(base.Out(in.Workload.Token))),
		value("open-mode", "append"),
		value("input", "/dev/null"),
		// What SubmitScript lets sbatch see, and no more. With any other value some releases have the node make the user's login
		// environment for each job, which takes seconds and may fail.
		value("export", "ALL"),
	}
	return append(flags, requeueFlag(in.Workload.Pod))
}

// requeueFlag lets SLURM start the job again where the pod's containers may be started again.
func requeueFlag(pod *corev1.Pod) sbatch.Flag {
	if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		return sbatch.Flag{Name: "no-requeue"}
	}
	return sbatch.Flag{Name: "requeue"}
}

// escapePattern keeps sbatch from replacing %j and the like in a file's name.
func escapePattern(name string) string { return strings.ReplaceAll(name, "%", "%%") }

func has(flags []sbatch.Flag, name string) bool {
	return slices.ContainsFunc(flags, func(f sbatch.Flag) bool { return f.Name == name })
}
