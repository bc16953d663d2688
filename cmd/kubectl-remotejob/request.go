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

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// maxCommand is how much of a command is told, in characters.
const maxCommand = 120

// describeRequest tells what the job asks for. What may be secret of it (env, files, scripts) is not in a RemoteJob.
func describeRequest(d description, job *v1alpha1.RemoteJob) {
	template := &job.Spec.Template
	fmt.Fprintf(d, "Asks for:\n")
	for _, list := range [][]corev1.Container{template.Spec.InitContainers, template.Spec.Containers} {
		for i := range list {
			fmt.Fprintf(d, "  %s:\t%s\n", list[i].Name, requestOf(&list[i]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(template.Annotations)) {
		if strings.Contains(name, "-job.vk.io/") {
			fmt.Fprintf(d, "  %s:\t%s\n", name, oneLine(template.Annotations[name]))
		}
	}
	if limit := template.Spec.ActiveDeadlineSeconds; limit != nil {
		fmt.Fprintf(d, "  Deadline:\t%ds after its start\n", *limit)
	}
	if template.Spec.RestartPolicy != "" {
		fmt.Fprintf(d, "  Restarts:\t%s\n", template.Spec.RestartPolicy)
	}
}

// requestOf is what a container asks for, in words.
func requestOf(c *corev1.Container) string {
	words := []string{"image " + c.Image}
	if command := slices.Concat(c.Command, c.Args); len(command) > 0 {
		words = append(words, "runs "+cutTo(oneLine(strings.Join(command, " ")), maxCommand))
	}
	asked := c.Resources.Limits.DeepCopy()
	if asked == nil {
		asked = corev1.ResourceList{}
	}
	for name, quantity := range c.Resources.Requests {
		if _, limited := asked[name]; !limited {
			asked[name] = quantity
		}
	}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		quantity := asked[name]
		words = append(words, fmt.Sprintf("%s %s", name, quantity.String()))
	}
	return strings.Join(words, ", ")
}

// cutTo shortens a text to so many characters.
func cutTo(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
