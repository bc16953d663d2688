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
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// prepare reads what to run and makes what it needs. What goes wrong ends the pod with words, as a Stop does. The error is errOvertaken, for a
// pod that is not this job's any more.
func (r *runner) prepare(ctx context.Context, terms <-chan told) error {
	// Before it is read there is no pod to tell of: one without containers ends at once where it is told to.
	r.spec, r.pod = &jobdir.Spec{}, &corev1.Pod{}
	spec, err := r.readSpec(terms)
	if err != nil {
		r.unreadable(err)
		return nil
	}
	r.spec, r.pod = spec, spec.Pod
	if spec.JobScript != "" {
		r.spec, r.pod = scripted(spec)
	}
	if err := r.refuseRestart(); err != nil {
		r.fail("JobRestarted", err)
		return nil
	}
	if err := r.record(podlifecycle.Decision{Phase: corev1.PodPending}, false); err != nil {
		r.log("%v", err)
	}
	// Without room for the last word a pod is not begun.
	if err := whenThereIsRoom(terms, r.log, r.whileOurs(r.Dir.MakeReserve)); err != nil {
		if errors.Is(err, errOvertaken) || errors.Is(err, fs.ErrNotExist) && r.overtaken() {
			return errOvertaken
		}
		r.log("%v", err)
		if jobdir.IsFull(err) {
			r.beginStop(r.now())
		}
	}
	if err := r.keepOldLogs(); err != nil {
		r.log("%v", err)
	}
	if err := r.makeScratch(); err != nil {
		r.fail("ScratchUnavailable", err)
		return nil
	}
	r.killLeftovers(ctx)
	if err := r.startGuard(); err != nil {
		r.log("start what cleans up should this program be killed: %v", err)
	}
	switch err := r.preExec(ctx, terms); {
	case errors.Is(err, errOvertaken):
		return err
	case err != nil:
		r.fail("PreExecFailed", err)
		return nil
	}
	if err := r.equip(ctx); err != nil {
		r.fail("NodeUnfit", err)
		return nil
	}
	if r.limited() {
		go r.watchMemory(ctx)
	}
	return nil
}

// whileOurs does something again and again, and looks now and then whether the pod is still this job's: nobody may be there to tell a job
// that SLURM has forgotten.
func (r *runner) whileOurs(do func() error) func() error {
	next := r.now().Add(claimEvery)
	return func() error {
		if now := r.now(); now.After(next) {
			next = now.Add(claimEvery)
			if r.overtaken() {
				return errOvertaken
			}
		}
		return do()
	}
}

// readEvery and readPatience are how often, and for how long, a file is read again that can't be read: a shared file system may be away for
// a moment.
const (
	readEvery    = 500 * time.Millisecond
	readPatience = 10 * time.Second
)

// readSpec reads what to run, again for a while where it can't be read. A signal ends the wait, and the pod.
func (r *runner) readSpec(terms <-chan told) (*jobdir.Spec, error) {
	until := r.now().Add(readPatience)
	for {
		spec, err := r.Dir.ReadSpec()
		if err == nil || r.now().After(until) {
			return spec, err
		}
		select {
		case t := <-terms:
			r.heed(t)
			return nil, err
		case <-time.After(readEvery):
		}
	}
}

// unreadable ends a pod of which nobody can say what it is. A job that was told to end meanwhile has that for its reason.
func (r *runner) unreadable(err error) {
	r.fail("SpecUnreadable", err)
	r.recorded.Finished, r.recorded.Phase = true, corev1.PodFailed
	r.recorded.Reason, r.recorded.Message = r.stop.Reason, r.stop.Message
}

// refuseRestart is why a pod that is never to restart does not run: an earlier start of its job may have run it. Such jobs are submitted to
// be started once, but a SLURM that lost its memory, or an administrator, may start one again. What was said of the pod does not tell: it
// is said a moment after the containers run, and a start that was lost in between, or while it refused, has said nothing of them.
func (r *runner) refuseRestart() error {
	if !r.runsOnce() {
		return nil
	}
	begun, err := r.Dir.HasBegun()
	if err != nil || !begun {
		return err
	}
	if d := r.before; d != nil {
		r.recorded.InitContainers, r.recorded.Containers = d.InitContainers, d.Containers
		if d.Finished() {
			r.recorded.Finished, r.recorded.Phase, r.recorded.Reason, r.recorded.Message = true, d.Phase, d.Reason, d.Message
		}
	}
	return fmt.Errorf("SLURM started the job again (start %d) after the pod had begun, and its restartPolicy is Never", r.claim.RestartCount)
}

func (r *runner) runsOnce() bool { return r.pod.Spec.RestartPolicy == corev1.RestartPolicyNever }

// equip makes what containers need on this node: a runtime, and the pod's volumes.
func (r *runner) equip(ctx context.Context) error {
	node := runtime.Node{
		Table: r.table, Self: r.Self, Scratch: r.scratch, Env: r.Env, Credentials: runtime.CredentialsOf(r.spec.PullSecrets), Log: r.log,
	}
	var err error
	// What starts ranks, and a job script, are programs of the node that see the node as it is.
	if r.host, err = runtime.New(jobdir.Runtime{Type: runtime.None}, node); err != nil {
		return err
	}
	if r.spec.JobScript != "" {
		if err := r.writeScript(); err != nil {
			return err
		}
		r.runtime = r.host
	} else {
		if r.spec.Runtime.Type == runtime.None || r.spec.Runtime.Type == runtime.Charliecloud {
			node.Spaces = runtime.FindSpaces(ctx, &node)
		}
		if r.runtime, err = runtime.New(r.spec.Runtime, node); err != nil {
			return err
		}
	}
	if err := r.makeNames(); err != nil {
		return err
	}
	if err := r.host.Prepare(ctx, r.sharedPod()); err != nil {
		return err
	}
	r.volumes, err = r.makeVolumes()
	return err
}

// fail ends a pod that can't be run.
func (r *runner) fail(reason string, err error) {
	r.log("%s: %v", reason, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop == nil {
		zero := time.Duration(0)
		r.stop = &podlifecycle.Stop{Since: r.now(), GracePeriod: &zero, Reason: reason, Message: err.Error()}
	}
}

// makeScratch makes the job's directory on this node. Its path is short, since sockets lie in it.
func (r *runner) makeScratch() error {
	const maxPath = 53
	name := scratchName(r.spec.Token) + "-" + nodeHash(nodeName(r.Env)) + "-" + fmt.Sprint(r.claim.RestartCount)
	if r.isRank {
		name += "-" + fmt.Sprint(os.Getpid())
	}
	var errs []error
	for _, dir := range scratchPlaces(r.Env) {
		if dir == "" || !filepath.IsAbs(dir) || len(dir) > maxPath {
			continue
		}
		path := filepath.Join(dir, name)
		// One that is there was left by the same start of the same job, or is somebody else's.
		_ = os.RemoveAll(path)
		if err := os.Mkdir(path, jobdir.DirMode); err != nil {
			errs = append(errs, err)
			continue
		}
		r.scratch = path
		r.nameSelf()
		return os.Mkdir(filepath.Join(path, "c"), jobdir.DirMode)
	}
	return fmt.Errorf("make a directory on this node: %w", cmp.Or(errors.Join(errs...), errors.New("there is no place for one")))
}

// nameSelf gives this program a name again where it is a copy that has none any more: what it was started as can't be reached from
// namespaces that containers have of their own. The name goes with the directory. Where that is on a file system that nothing can be
// executed from, it has to do without.
func (r *runner) nameSelf() {
	if !strings.HasPrefix(r.Self, "/proc/") {
		return
	}
	path := filepath.Join(r.scratch, "podrunner")
	err := copyProgram(path, r.Self)
	if err == nil {
		var p *proc.Process
		if p, err = r.table.Start(proc.Command{Path: path, Args: []string{path, "version"}, Dir: "/"}); err == nil {
			<-p.Done()
			if p.Status().ExitStatus() == 0 {
				r.Self = path
				return
			}
			err = fmt.Errorf("%s version ended with %d", path, p.Status().ExitStatus())
		}
	}
	r.log("keep a copy of podrunner in the job's directory on this node: %v", err)
	_ = os.Remove(path)
}

func copyProgram(name, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, jobdir.FileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}

// keepOldLogs sets aside the logs of the job's earlier start, whose containers are not these.
func (r *runner) keepOldLogs() error {
	if r.claim.RestartCount == 0 {
		return nil
	}
	aside := r.Dir.Logs() + ".before"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("set the logs of the job's earlier start aside: %w", err)
	}
	if err := os.Rename(r.Dir.Logs(), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the logs of the job's earlier start aside: %w", err)
	}
	return nil
}

// sayAgain is how long to wait before a state that could not be written is written again.
const sayAgain = 2 * time.Second
