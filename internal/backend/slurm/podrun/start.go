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

package podrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/crilog"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
)

// startPatience bounds how long a runtime may take to have a container run once its image is there: unpacking a large one takes minutes.
const startPatience = 15 * time.Minute

// bring makes a run of a container and has its command run. An error leaves nothing of it running.
func (r *runner) bring(ctx context.Context, i *instance) (err error) {
	rt := r.runtimeOf(i)
	if rt == r.runtime {
		if i.image, err = r.imageOf(ctx, i); err != nil {
			return err
		}
	}
	if err := r.makeContainer(ctx, i); err != nil {
		return err
	}
	start := r.command(i)
	if rt == r.host && r.spec.JobScript == "" {
		start = r.launchCommand(i)
	}
	if len(start.Args) == 0 {
		return configError{fmt.Errorf("the container names no command, and the runtime %s does not know what its image runs", r.spec.Runtime.Type)}
	}
	listener, err := agent.Listen(filepath.Join(i.made.Dir, "agent", "socket"))
	if err != nil {
		return err
	}
	defer listener.Close()
	i.oomKills = oomKills()
	if i.running, err = rt.Start(ctx, i.made); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.tearDown(i)
		}
	}()
	if i.agent, err = r.connect(ctx, i, listener); err != nil {
		return err
	}
	i.agentStat, _ = proc.Look(i.agent.Pid)
	return r.startCommand(ctx, i, start)
}

func (r *runner) imageOf(ctx context.Context, i *instance) (runtime.Image, error) {
	name := runtime.FullName(i.spec.Image, r.pod.Annotations[annotationImageRoot], r.spec.Runtime.ImagePrefix)
	return r.runtime.Image(ctx, name, i.n == 0 && i.spec.ImagePullPolicy == "Always", i.spec.ImagePullPolicy == "Never")
}

// makeContainer makes the directory of a run on this node and says what the runtime is to be told.
func (r *runner) makeContainer(ctx context.Context, i *instance) error {
	r.mu.Lock()
	r.dirs++
	dir := filepath.Join(r.scratch, "c", strconv.Itoa(r.dirs))
	r.mu.Unlock()
	i.made.Name, i.made.Dir, i.made.Image = containerName(r.spec.Token, i.name, i.n), dir, i.image
	for _, d := range []string{"", "agent", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), jobdir.DirMode); err != nil {
			return fmt.Errorf("make the container's directory: %w", err)
		}
	}
	// The agent may be any user inside, and the container's directory keeps other users out on the node.
	if err := os.Chmod(filepath.Join(dir, "agent"), 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("make the container's directory: %w", err)
	}
	for name, mode := range map[string]os.FileMode{"podrunner": 0o755, "message": 0o666} {
		if err := writeMode(filepath.Join(dir, "agent", name), nil, mode); err != nil {
			return fmt.Errorf("make the container's directory: %w", err)
		}
	}
	if err := r.security(i); err != nil {
		return configError{err}
	}
	r.resources(i)
	r.annotations(i)
	if r.runtimeOf(i) == r.host {
		return nil
	}
	mounts, err := r.mounts(ctx, i)
	if err != nil {
		return configError{err}
	}
	i.made.Mounts = mounts
	return nil
}

// writeMode writes a file that is to have just this mode.
func writeMode(name string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(name, data, jobdir.FileMode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// command is what the agent is to run.
func (r *runner) command(i *instance) agent.Start {
	c := i.spec
	start := agent.Start{Dir: c.WorkingDir, Defaults: passedOn(r.Env, r.isRank)}
	switch {
	case len(c.Command) > 0:
		start.Args = append(append(start.Args, c.Command...), c.Args...)
	case i.image.Known:
		start.Args = append(start.Args, i.image.Entrypoint...)
		if len(c.Args) > 0 {
			start.Args = append(start.Args, c.Args...)
		} else {
			start.Args = append(start.Args, i.image.Cmd...)
		}
	}
	for _, e := range c.Env {
		start.Env = append(start.Env, e.Name+"="+e.Value)
	}
	if path := c.TerminationMessagePath; path != "" && r.linksMessage(path) {
		start.Message, start.MessageFile = path, runtime.AgentMessage
	}
	return start
}

// passedOn are the variables of a job that its containers get where nothing else sets them: what SLURM says of the job, and which devices
// it was given. A rank also gets those by which ranks find each other.
func passedOn(env []string, rank bool) []string {
	var out []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasPrefix(name, "SLURM_"):
		case rank && isMPI(name):
		case name == "CUDA_VISIBLE_DEVICES", name == "ROCR_VISIBLE_DEVICES", name == "GPU_DEVICE_ORDINAL", name == "ZE_AFFINITY_MASK", name == "HIP_VISIBLE_DEVICES":
		default:
			continue
		}
		out = append(out, entry)
	}
	return out
}

// isMPI tells whether a variable is one by which ranks find each other.
func isMPI(name string) bool {
	for _, prefix := range []string{"PMI", "OMPI_", "MPI", "I_MPI_", "HYDRA_", "HYDI_", "FI_", "UCX_", "PRTE_", "PALS_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// connect waits for the agent in a container that is being started.
func (r *runner) connect(ctx context.Context, i *instance, listener *agent.Listener) (*agent.Agent, error) {
	type accepted struct {
		agent *agent.Agent
		err   error
	}
	connected := make(chan accepted, 1)
	go func() {
		a, err := listener.Accept()
		connected <- accepted{a, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	ended := i.running.Process.Done()
	for {
		select {
		case c := <-connected:
			return c.agent, c.err
		case <-ended:
			if i.running.Detached && i.running.Process.Status().ExitStatus() == 0 {
				ended = nil // what it started is about to connect
				continue
			}
			select {
			case c := <-connected: // it came and went
				if c.err == nil {
					return c.agent, nil
				}
			default:
			}
			words := cmp.Or(i.running.Words(), fmt.Sprintf("the runtime ended with %d without a word", i.running.Process.Status().ExitStatus()))
			return nil, errors.New(words)
		case <-ctx.Done():
			listener.Close()
			if c := <-connected; c.err == nil {
				c.agent.Close()
			}
			return nil, fmt.Errorf("wait for the container to run: %w", errors.Join(ctx.Err(), errors.New(i.running.Words())))
		}
	}
}

var errOvertaken = errors.New("the pod is not this job's any more")

// startCommand hands the agent its command, with a log to write to; a rank's words go where this program's go.
func (r *runner) startCommand(ctx context.Context, i *instance, start agent.Start) error {
	if r.isRank {
		close(i.copied)
		return i.agent.Start(ctx, start, os.Stdout, os.Stderr)
	}
	// What came before, such as a pull, may have taken long.
	if err := r.mayRun(); err != nil {
		r.doubt.Store(true)
		return err
	}
	log, err := crilog.Create(r.Dir.Log(i.name, i.n), r.spec.Logs, r.now)
	if err != nil {
		return err
	}
	i.log = log
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		closeFiles(outRead, outWrite)
		return fmt.Errorf("make a log: %w", err)
	}
	both := make(chan struct{}, 2)
	for stream, read := range map[string]*os.File{"stdout": outRead, "stderr": errRead} {
		go func() {
			defer func() { both <- struct{}{} }()
			defer read.Close()
			log.Copy(stream, read)
			_, _ = io.Copy(io.Discard, read)
		}()
	}
	go func() {
		<-both
		<-both
		close(i.copied)
	}()
	if err = ctx.Err(); err == nil {
		answered, cancel := outlasting(ctx, answerPatience)
		defer cancel()
		err = i.agent.Start(answered, start, outWrite, errWrite)
	}
	closeFiles(outWrite, errWrite)
	if err != nil {
		i.agent.Close() // it holds the other end of the log
		i.closeLog()
	}
	return err
}

// answerPatience is how long an agent that was handed a command may take to say what became of it once the start is called off: a command that
// runs is to end as one that runs.
const answerPatience = 5 * time.Second

// outlasting is a context that ends that much later than another.
func outlasting(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// logPatience is how long to wait for the last words of a container that has ended. What holds its output open beyond that is killed with
// the pod.
const logPatience = 2 * time.Second

func (i *instance) closeLog() {
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-i.copied:
	case <-timer.C:
	}
	_ = i.log.Close()
}

// removeLog removes the log of a run, with its rotated parts.
func (r *runner) removeLog(name string, n int32) {
	path := r.Dir.Log(name, n)
	_ = os.Remove(path)
	for i := 1; i < max(r.spec.Logs.MaxFiles, crilog.DefaultMaxFiles); i++ {
		_ = os.Remove(path + "." + strconv.Itoa(i))
	}
}
