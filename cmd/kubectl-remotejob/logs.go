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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	endpoint endpoint

	container     string
	allContainers bool
	prefix        bool

	follow, previous, timestamps bool
	since                        time.Duration
	sinceTime                    string
	tail, limitBytes             int64
}

func (p *plugin) logs() *cobra.Command {
	o := &logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs JOB",
		Short: "Print what a job's container wrote",
		Long: `Print what a job's container wrote.

Logs are on the backend, and the manager reads them there: --endpoint, or the variable REMOTEJOB_ENDPOINT, says where its plugin endpoint is.
Beside the manager that is the address of --plugin-bind-address. To a manager in a cluster, whose endpoint is on its pod's loopback address,
this leads from elsewhere:

  kubectl -n remotejob-system port-forward deployment/remotejob-controller-manager 4000

Of a pod, "kubectl logs POD" in the pod's own cluster shows the same.`,
		Example: `  kubectl remotejob logs hello --endpoint http://127.0.0.1:4000
  kubectl remotejob logs pod/hello -c main --tail 20 --timestamps -f --endpoint unix:///run/remotejob/plugin.sock`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeJobs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.runLogs(cmd, o, args[0]) },
	}
	flags := cmd.Flags()
	o.endpoint.addFlags(flags)
	flags.StringVarP(&o.container, "container", "c", "", "The container; by default the only one.")
	flags.BoolVar(&o.allContainers, "all-containers", false, "Print the logs of all containers, one after another, or with --follow as they come.")
	flags.BoolVar(&o.prefix, "prefix", false, "Begin each line with the container's name.")
	flags.BoolVarP(&o.follow, "follow", "f", false, "Go on until the container ends.")
	flags.BoolVarP(&o.previous, "previous", "p", false, "Print the log of the run before the container's last restart.")
	flags.BoolVar(&o.timestamps, "timestamps", false, "Begin each line with its time.")
	flags.DurationVar(&o.since, "since", 0, "Leave out what is older, such as 5m.")
	flags.StringVar(&o.sinceTime, "since-time", "", "Leave out what is older than this time (RFC 3339).")
	flags.Int64Var(&o.tail, "tail", -1, "Print the last so many lines only; -1 for all.")
	flags.Int64Var(&o.limitBytes, "limit-bytes", 0, "Print at most so many bytes; 0 for all.")
	must(cmd.RegisterFlagCompletionFunc("container", p.completeContainers))
	cmd.MarkFlagsMutuallyExclusive("since", "since-time")
	cmd.MarkFlagsMutuallyExclusive("container", "all-containers")
	return cmd
}

func (p *plugin) runLogs(cmd *cobra.Command, o *logsOptions, name string) error {
	if o.tail == 0 {
		return nil // the wire has no word for it: there, 0 is all
	}
	where, err := o.endpoint.client()
	if err != nil {
		return err
	}
	c, namespace, err := p.client()
	if err != nil {
		return err
	}
	job, err := find(cmd.Context(), c, namespace, name)
	if err != nil {
		return err
	}
	containers, err := o.containers(job)
	if err != nil {
		return err
	}
	if !o.follow || len(containers) == 1 {
		for _, container := range containers {
			if err := o.copy(cmd.Context(), where, p.Out, job, container); err != nil {
				return err
			}
		}
		return nil
	}
	out := &lineWriter{out: p.Out}
	errs := make([]error, len(containers))
	var all sync.WaitGroup
	for i, container := range containers {
		all.Go(func() { errs[i] = o.copy(cmd.Context(), where, out, job, container) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// containers are those whose logs are meant.
func (o *logsOptions) containers(job *v1alpha1.RemoteJob) ([]string, error) {
	names := containersOf(job)
	own := job.Spec.Template.Spec.Containers
	switch {
	case o.allContainers:
		return names, nil
	case o.container == "" && len(own) == 1:
		return []string{own[0].Name}, nil
	case o.container == "":
		return nil, fmt.Errorf("%s has several containers; name one by --container, or take --all-containers: %s", job.Name, strings.Join(names, ", "))
	case !slices.Contains(names, o.container):
		return nil, fmt.Errorf("%s has no container %q, but %s", job.Name, o.container, strings.Join(names, ", "))
	}
	return []string{o.container}, nil
}

// wireOptions are the options of /getLogs as interLink sends them, where 0 means that one is not set.
type wireOptions struct {
	Tail         int64       `json:",omitempty"`
	LimitBytes   int64       `json:",omitempty"`
	Timestamps   bool        `json:",omitempty"`
	Follow       bool        `json:",omitempty"`
	Previous     bool        `json:",omitempty"`
	SinceSeconds int64       `json:",omitempty"`
	SinceTime    metav1.Time `json:",omitzero"`
}

func (o *logsOptions) wire() (wireOptions, error) {
	out := wireOptions{Tail: max(o.tail, 0), LimitBytes: o.limitBytes, Timestamps: o.timestamps, Follow: o.follow, Previous: o.previous}
	if o.since > 0 {
		out.SinceSeconds = int64((o.since + time.Second - 1) / time.Second)
	}
	if o.sinceTime != "" {
		t, err := time.Parse(time.RFC3339Nano, o.sinceTime)
		if err != nil {
			return out, fmt.Errorf("--since-time must be a time such as 2006-01-02T15:04:05Z, and is %q", o.sinceTime)
		}
		out.SinceTime = metav1.NewTime(t)
	}
	return out, nil
}

// copy prints the log of one container.
func (o *logsOptions) copy(ctx context.Context, where *endpointClient, out io.Writer, job *v1alpha1.RemoteJob, container string) error {
	opts, err := o.wire()
	if err != nil {
		return err
	}
	request := map[string]any{"Namespace": job.Namespace, "PodName": job.Name, "PodUID": job.UID, "ContainerName": container, "Opts": opts}
	if ref := job.Spec.PodRef; ref != nil {
		request["Namespace"], request["PodName"], request["PodUID"] = ref.Namespace, ref.Name, ref.UID
	}
	response, err := where.post(ctx, "/getLogs", request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("the log of container %s: %s", container, strings.TrimSpace(string(words)))
	}
	if o.prefix {
		out = &prefixed{out: out, prefix: "[" + job.Name + "/" + container + "] ", begin: true}
	}
	_, err = io.Copy(out, response.Body)
	if ctx.Err() != nil {
		return nil // whoever follows a log ends it so
	}
	return err
}

// prefixed writes a prefix before each line.
type prefixed struct {
	out    io.Writer
	prefix string
	begin  bool
}

func (p *prefixed) Write(text []byte) (int, error) {
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if p.begin {
			out.WriteString(p.prefix)
		}
		out.WriteString(line)
		p.begin = strings.HasSuffix(line, "\n")
	}
	if _, err := io.WriteString(p.out, out.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// lineWriter lets several write at the same time.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(text)
}
