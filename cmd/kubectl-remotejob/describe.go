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
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func (p *plugin) describe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe JOB...",
		Short: "Tell all that is known of a job",
		Long: `Tell all that is known of a job: its containers, its conditions in words, what its backend last said of it, how that backend is, and
its Events. All of it is on record in the cluster; no backend is asked.`,
		Example: `  kubectl remotejob describe hello
  kubectl remotejob describe pod/hello
  kubectl remotejob describe 7f0c8a52-4a51-4a8a-9a1c-6a52c1c9a0b1    # the pod's UID, in whatever namespace`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeJobs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			for i, name := range args {
				if i > 0 {
					fmt.Fprintln(p.Out)
				}
				job, err := find(cmd.Context(), c, namespace, name)
				if errors.Is(err, errNone) && describeRefused(cmd.Context(), c, p.Out, name) {
					continue
				}
				if err != nil {
					return err
				}
				if err := describeJob(cmd.Context(), c, p.Out, job); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// description is written in lines of a name and a value.
type description struct{ *tabwriter.Writer }

func (d description) line(name string, value any) {
	if text := fmt.Sprint(value); text != "" {
		fmt.Fprintf(d, "%s:\t%s\n", name, oneLine(text))
	}
}

func describeJob(ctx context.Context, c client.Client, out io.Writer, job *v1alpha1.RemoteJob) error {
	d := description{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	d.line("Name", job.Name)
	d.line("Namespace", job.Namespace)
	if ref := job.Spec.PodRef; ref != nil {
		d.line("Pod", podOf(job))
		d.line("Pod UID", ref.UID)
		d.line("interLink session", job.Annotations[v1alpha1.AnnotationSession])
	} else {
		d.line("Pod", "none: a person wrote this RemoteJob")
	}
	s := &job.Status
	d.line("Phase", orNone(phaseWords(job)))
	d.line("Reason", s.Reason)
	d.line("Message", s.Message)
	d.line("Created", when(&job.CreationTimestamp))
	d.line("Submitted", when(s.StartTime))
	d.line("Ended", when(s.CompletionTime))
	if s.StartTime != nil && s.CompletionTime != nil {
		d.line("Took", duration.HumanDuration(s.CompletionTime.Sub(s.StartTime.Time)))
	}
	if ttl := job.Spec.TTLSecondsAfterFinished; ttl != nil {
		d.line("Removed", fmt.Sprintf("%s after its end", duration.HumanDuration(time.Duration(*ttl)*time.Second)))
	}
	describeRequest(d, job)
	describeContainers(d, job)
	describeConditions(d, s.Conditions)
	if err := describeBackend(ctx, c, d, job); err != nil {
		return err
	}
	if err := describeEvents(ctx, c, d, job); err != nil {
		return err
	}
	return d.Flush()
}

// when is a time, and how long ago it was.
func when(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), ageOf(*t))
}

func describeContainers(d description, job *v1alpha1.RemoteJob) {
	spec := &job.Spec.Template.Spec
	for _, group := range []struct {
		title    string
		specs    []corev1.Container
		statuses []corev1.ContainerStatus
	}{
		{"Init containers", spec.InitContainers, job.Status.InitContainerStatuses},
		{"Containers", spec.Containers, job.Status.ContainerStatuses},
	} {
		if len(group.specs) == 0 {
			continue
		}
		fmt.Fprintf(d, "%s:\n  NAME\tIMAGE\tREADY\tRESTARTS\tSTATE\n", group.title)
		for i := range group.specs {
			name := group.specs[i].Name
			status := corev1.ContainerStatus{Name: name}
			if at := slices.IndexFunc(group.statuses, func(s corev1.ContainerStatus) bool { return s.Name == name }); at >= 0 {
				status = group.statuses[at]
			}
			fmt.Fprintf(d, "  %s\t%s\t%v\t%d\t%s\n", name, group.specs[i].Image, status.Ready, status.RestartCount, stateOf(&status.State))
			if last := status.LastTerminationState; last.Terminated != nil {
				fmt.Fprintf(d, "  \t\t\t\tbefore: %s\n", stateOf(&last))
			}
		}
	}
}

// stateOf is a container's state in words.
func stateOf(s *corev1.ContainerState) string {
	words := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	}
	switch {
	case s.Running != nil:
		return words("running", "since "+ageOf(s.Running.StartedAt))
	case s.Terminated != nil:
		return words(fmt.Sprintf("ended with exit code %d", s.Terminated.ExitCode), s.Terminated.Reason, oneLine(s.Terminated.Message))
	case s.Waiting != nil:
		return words("waits", s.Waiting.Reason, oneLine(s.Waiting.Message))
	}
	return "nothing is known of it yet"
}

func describeConditions(d description, conditions []metav1.Condition) {
	if len(conditions) == 0 {
		return
	}
	fmt.Fprintf(d, "Conditions:\n  TYPE\tSTATUS\tREASON\tSINCE\tMESSAGE\n")
	for _, c := range conditions {
		fmt.Fprintf(d, "  %s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, ageOf(c.LastTransitionTime), oneLine(c.Message))
	}
}

// backendBefore is how long before a job was made what became of its backend is of interest.
const backendBefore = time.Minute

// describeBackend tells what the backend said of the job, and how the backend itself is.
func describeBackend(ctx context.Context, c client.Client, d description, job *v1alpha1.RemoteJob) error {
	s := &job.Status
	fmt.Fprintf(d, "Backend:\t%s\n", job.Spec.BackendName)
	d.line("  Its name for the job", orNone(s.JobID))
	d.line("  Machine", orNone(s.NodeName))
	d.line("  Handed over", fmt.Sprintf("%d times", s.Attempts))
	if s.Requeues > 0 {
		d.line("  Put back into its queue", fmt.Sprintf("%d times", s.Requeues))
	}
	rb := &v1alpha1.RemoteBackend{}
	if err := c.Get(ctx, client.ObjectKey{Name: job.Spec.BackendName}, rb); err != nil {
		d.line("  Ready", "not known: "+err.Error())
		return nil //nolint:nilerr // who may see jobs need not see backends, and the rest is worth telling
	}
	ready := readyOf(rb)
	d.line("  Ready", fmt.Sprintf("%s, %s since %s: %s", ready.Status, orNone(ready.Reason), ageOf(ready.LastTransitionTime), ready.Message))
	d.line("  Version", rb.Status.Version)
	d.line("  Its jobs", fmt.Sprintf("%d active, %d queued", rb.Status.Jobs.Active, rb.Status.Jobs.Queued))
	// What became of the backend in the job's time. Events about what has no namespace are in this one.
	events, err := eventsAbout(ctx, c, metav1.NamespaceDefault, rb.UID)
	events = slices.DeleteFunc(events, func(e corev1.Event) bool { return at(&e).Before(job.CreationTimestamp.Add(-backendBefore)) })
	if err == nil && len(events) > 0 {
		writeEvents(d, "Backend's Events", events)
	}
	return nil
}

func describeEvents(ctx context.Context, c client.Client, d description, job *v1alpha1.RemoteJob) error {
	events, err := eventsAbout(ctx, c, job.Namespace, job.UID)
	if err != nil {
		d.line("Events", "not known: "+err.Error())
		return nil //nolint:nilerr // as above
	}
	if len(events) == 0 {
		d.line("Events", "<none>")
		return nil
	}
	writeEvents(d, "Events", events)
	return nil
}

// eventsAbout are the Events about an object, the oldest first.
func eventsAbout(ctx context.Context, c client.Client, namespace string, uid types.UID) ([]corev1.Event, error) {
	list := &corev1.EventList{}
	about := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.uid", string(uid))}
	if err := c.List(ctx, list, client.InNamespace(namespace), about); err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return cmp.Compare(at(&a).UnixMicro(), at(&b).UnixMicro()) })
	return list.Items, nil
}

func writeEvents(d description, title string, events []corev1.Event) {
	fmt.Fprintf(d, "%s:\n  TYPE\tREASON\tAGE\tMESSAGE\n", title)
	for i := range events {
		e := &events[i]
		fmt.Fprintf(d, "  %s\t%s\t%s\t%s\n", e.Type, e.Reason, ageOf(metav1.NewTime(at(e))), oneLine(e.Message))
	}
}

// describeRefused tells of a pod that was refused when it came, so that there never was a RemoteJob. It returns false where nothing is
// known of such a pod.
func describeRefused(ctx context.Context, c client.Client, out io.Writer, uid string) bool {
	events, err := eventsAbout(ctx, c, "", types.UID(uid))
	events = slices.DeleteFunc(events, func(e corev1.Event) bool { return e.InvolvedObject.Kind != "Pod" || e.ReportingController != reporter })
	if err != nil || len(events) == 0 {
		return false
	}
	d := description{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	d.line("Pod", events[0].InvolvedObject.Namespace+"/"+events[0].InvolvedObject.Name)
	d.line("Pod UID", uid)
	d.line("Phase", "Refused: the operator did not take the pod, and there is no RemoteJob of it")
	writeEvents(d, "Events", events)
	return d.Flush() == nil
}

// reporter is what the manager calls itself in Events.
const reporter = "remotejob-operator"

// at is when an Event happened last, in whichever of its fields that stands.
func at(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	if e.Series != nil {
		last = e.Series.LastObservedTime.Time
	}
	for _, t := range []time.Time{e.EventTime.Time, e.LastTimestamp.Time} {
		if t.After(last) {
			last = t
		}
	}
	return last
}
