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

package podrun_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
)

// exits runs podrunner beside a job and returns how it ended and what it said.
func (j *job) exits(env ...string) (int, string) {
	j.Helper()
	cmd := as(program(), "run", "--dir", string(j.dir))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		j.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestOfTwoJobsOneRunsThePod(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo run; "+onTerm)).start("SLURM_JOB_ID=1")
	j.untilLogged("main", "up")
	for _, env := range [][]string{{"SLURM_JOB_ID=2"}, {"SLURM_JOB_ID=1"}, {"SLURM_JOB_ID=2", "SLURM_RESTART_COUNT=3"}} {
		if code, out := j.exits(env...); code != 0 || !strings.Contains(out, "job 1 (start 0) runs the pod") {
			t.Errorf("%v ended with %d: %s", env, code, out)
		}
	}
	j.signal(syscall.SIGTERM)
	j.ended()
	if got := j.log("main"); got != "run\nup\ngot TERM\n" {
		t.Errorf("main wrote %q", got)
	}
}

func TestACancelledPodIsNotRun(t *testing.T) {
	base := newBase(t)
	for name, cancel := range map[string]func(*job) error{
		"by its marker":      func(j *job) error { return base.MarkDone(j.token, jobdir.Done{}) },
		"by its claim":       func(j *job) error { _, _, err := j.dir.Take(jobdir.Claim{Cancelled: true}); return err },
		"by its removal":     func(j *job) error { return os.RemoveAll(string(j.dir)) },
		"by another's claim": func(j *job) error { _, _, err := j.dir.Take(jobdir.Claim{JobID: "9"}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t, base, none(), pod("echo never"))
			if err := cancel(j); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.MkdirAll(base.OutDir(), jobdir.DirMode), os.WriteFile(base.Out(j.token), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			give(t, string(base))
			if code, out := j.exits("SLURM_JOB_ID=1"); code != 0 || !strings.Contains(out, "nothing is run") {
				t.Errorf("it ended with %d: %s", code, out)
			}
			if _, err := os.Stat(j.dir.State()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it said something: %v", err)
			}
			// After its end nobody removes what the batch script writes but the job itself.
			done, _ := base.IsDone(j.token)
			if _, err := os.Stat(base.Out(j.token)); done != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the token is over: %v; the batch script's output: %v", done, err)
			}
		})
	}
}

// TestAPodThatIsCancelledWhileItStartsRunsNoFurther is about a job that SLURM has forgotten: nobody tells it that its pod was cancelled.
func TestAPodThatIsCancelledWhileItStartsRunsNoFurther(t *testing.T) {
	for name, cancel := range map[string]string{
		"by its marker": `for dir in "$BASE"/jobs/*; do : >"$BASE/done/${dir##*/}"; done`,
		// As a cancel does it: again, where podrunner writes into the directory while it is removed.
		"by its removal": `until rm -rf "$BASE"/jobs/* 2>/dev/null; do :; done`,
	} {
		t.Run(name, func(t *testing.T) {
			base := newBase(t)
			if err := os.MkdirAll(base.DoneDir(), jobdir.DirMode); err != nil {
				t.Fatal(err)
			}
			give(t, string(base))
			ran := filepath.Join(string(base), "ran")
			j := newJob(t, base, none(), pod("echo it ran >"+ran, first(container("first", "BASE="+string(base)+"\n"+cancel)))).start("SLURM_JOB_ID=1")
			_ = j.cmd.Wait()
			if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it ran after it was cancelled: %v", err)
			}
			_, err := os.Stat(string(j.dir))
			if there := err == nil; there != (name == "by its marker") {
				t.Errorf("the job's directory: %v", err)
			}
			j.nothingLeft()
		})
	}
}

// TestAPodWhoseClaimCannotBeReadIsHeldBackUntilItCan is about a shared file system that is away for a moment.
func TestAPodWhoseClaimCannotBeReadIsHeldBackUntilItCan(t *testing.T) {
	base := newBase(t)
	j := newJob(t, base, none(), pod("echo ran", first(container("first", "chmod 0 "+string(base)+"/jobs/*/claim")))).start("SLURM_JOB_ID=1")
	j.eventually("main to be held back", func() (bool, string) {
		w := j.status("main").State.Waiting
		return w != nil && w.Reason == "CreateContainerError", asJSON(j.status("main"))
	})
	if got := j.log("main"); got != "" {
		t.Errorf("main wrote %q", got)
	}
	if err := os.Chmod(j.dir.Claim(), jobdir.FileMode); err != nil {
		t.Fatal(err)
	}
	if state := j.ended(); state.Decision.Phase != corev1.PodSucceeded || j.log("main") != "ran\n" {
		t.Errorf("got %s", asJSON(state))
	}
}

func TestARequeuedJobRunsThePodAnew(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo up; [ -e /claim/go ] || sleep 1000; exit 0",
		volume("claim", "/claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}),
		func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })).start("SLURM_JOB_ID=5")
	j.untilLogged("main", "up")
	before, err := j.dir.ReadState()
	if err != nil {
		t.Fatal(err)
	}
	// The node is lost.
	j.signal(syscall.SIGKILL)
	_ = j.cmd.Wait()
	j.nothingLeft()
	if err := os.WriteFile(filepath.Join(j.base.Volume("ns", "c"), "go"), nil, 0o644); err != nil { // a mark
		t.Fatal(err)
	}
	state := j.run("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=1")
	if state.Decision.Phase != corev1.PodSucceeded || state.RestartCount != 1 || state.Sequence <= before.Sequence {
		t.Errorf("got %s", asJSON(state))
	}
	// The start before may have written more than is seen here.
	if state.Sequence <= 1<<32 {
		t.Errorf("the restarted job counts its states from %d on", state.Sequence)
	}
	if got := j.log("main"); got != "up\n" {
		t.Errorf("the log is %q", got)
	}
	// Another start finds the end, runs nothing, and says the same under its number.
	if code, out := j.exits("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=2"); code != 0 || !strings.Contains(out, "has ended before") {
		t.Errorf("it ended with %d: %s", code, out)
	}
	last, err := j.dir.ReadState()
	if err != nil || last.RestartCount != 2 || !last.Finished || last.Sequence <= 2<<32 || last.Decision.Phase != corev1.PodSucceeded {
		t.Errorf("got %s, %v", asJSON(last), err)
	}
}

// TestAStateThatCannotBeReadIsNotWrittenAnew is about a shared file system that is away for a while: the state may be that of the pod's end.
func TestAStateThatCannotBeReadIsNotWrittenAnew(t *testing.T) {
	t.Parallel()
	j := newJob(t, newBase(t), none(), pod("echo ran"))
	state := jobdir.State{JobID: "5", Sequence: 7, Finished: true, Decision: podlifecycle.Decision{Phase: corev1.PodSucceeded}}
	_, _, err := j.dir.Take(jobdir.Claim{JobID: "5"})
	if err := errors.Join(err, j.dir.WriteState(state), os.Chmod(j.dir.State(), 0)); err != nil {
		t.Fatal(err)
	}
	give(t, string(j.dir))
	if code, out := j.exits("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=1"); code != 70 {
		t.Errorf("it ended with %d: %s", code, out)
	}
	if err := os.Chmod(j.dir.State(), jobdir.FileMode); err != nil {
		t.Fatal(err)
	}
	if got, err := j.dir.ReadState(); err != nil || asJSON(got) != asJSON(state) {
		t.Errorf("the state was %s and is %s, %v", asJSON(state), asJSON(got), err)
	}
	// One that can be read and makes no sense is.
	if err := os.Truncate(j.dir.State(), 10); err != nil {
		t.Fatal(err)
	}
	if got := j.run("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=2"); got.Decision.Phase != corev1.PodSucceeded || j.log("main") != "ran\n" {
		t.Errorf("got %s", asJSON(got))
	}
}

// TestAJobThatIsStartedAgainDoesNotRunAPodTwiceThatIsNeverToRestart is about SLURM starting a job again that was submitted with
// --no-requeue, as one does that lost its memory, or an administrator.
func TestAJobThatIsStartedAgainDoesNotRunAPodTwiceThatIsNeverToRestart(t *testing.T) {
	for name, c := range map[string]struct {
		end    syscall.Signal
		reason string
		// unsaid has nothing said of the pod while its containers run.
		unsaid bool
	}{
		"its node was lost":                            {end: syscall.SIGKILL, reason: "JobRestarted"},
		"its node was lost before it said that it ran": {end: syscall.SIGKILL, reason: "JobRestarted", unsaid: true},
		"SLURM ended it":                               {end: syscall.SIGTERM, reason: jobdir.ReasonTerminated},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t, newBase(t), none(), pod("trap 'exit 0' TERM; echo run >>/claim/runs; while :; do sleep 0.1; done", grace(1), and(container("done", "exit 0")),
				volume("claim", "/claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}})))
			if c.unsaid {
				j.hideState()
			}
			ran := func() string {
				runs, err := os.ReadFile(filepath.Join(j.base.Volume("ns", "c"), "runs"))
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				return string(runs)
			}
			j.start("SLURM_JOB_ID=5").eventually("the first run", func() (bool, string) { return ran() != "", "" })
			j.signal(c.end)
			_ = j.cmd.Wait()
			j.nothingLeft()
			if c.unsaid {
				if err := os.RemoveAll(j.dir.State()); err != nil {
					t.Fatal(err)
				}
			}
			state := j.run("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=1")
			if state.Decision.Phase != corev1.PodFailed || state.Decision.Reason != c.reason || !state.Finished || state.RestartCount != 1 {
				t.Errorf("got %s", asJSON(state))
			}
			if runs := ran(); runs != "run\n" {
				t.Errorf("main ran as often as this says: %q", runs)
			}
		})
	}
}

// TestAJobThatIsToldToEndKeepsNoSpecOfAPodThatIsNeverToRestart has no secrets stay that nobody needs.
func TestAJobThatIsToldToEndKeepsNoSpecOfAPodThatIsNeverToRestart(t *testing.T) {
	base := newBase(t)
	for policy, kept := range map[corev1.RestartPolicy]bool{corev1.RestartPolicyNever: false, corev1.RestartPolicyOnFailure: true} {
		t.Run(string(policy), func(t *testing.T) {
			j := newJob(t, base, none(), pod(onTerm, grace(1), restarting(policy))).start("SLURM_JOB_ID=5")
			j.untilLogged("main", "up")
			j.signal(syscall.SIGTERM)
			before := j.ended()
			if _, err := os.Stat(j.dir.Spec()); kept == errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the spec: %v", err)
			}
			if kept {
				return
			}
			code, out := j.exits("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=1")
			state, err := j.dir.ReadState()
			if err != nil || code != 0 || !strings.Contains(out, "has ended before") {
				t.Fatalf("it ended with %d, %v: %s", code, err, out)
			}
			if asJSON(state.Decision) != asJSON(before.Decision) || !state.Finished || state.RestartCount != 1 || state.Sequence <= before.Sequence {
				t.Errorf("the end was %s and is %s", asJSON(before), asJSON(state))
			}
		})
	}
}

// TestAJobWhosePodIsAnothersRemovesNothing is about a job that was started anew elsewhere while this node was thought to be lost: the other
// start needs what is in the directory.
func TestAJobWhosePodIsAnothersRemovesNothing(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo up; until [ -e /claim/go ]; do sleep 0.1; done; exit 0", restarting(corev1.RestartPolicyOnFailure),
		volume("claim", "/claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}))).start("SLURM_JOB_ID=5")
	j.untilLogged("main", "up")
	if _, won, err := j.dir.Take(jobdir.Claim{JobID: "5", RestartCount: 1}); err != nil || !won {
		t.Fatal(won, err)
	}
	give(t, string(j.dir))
	if err := os.WriteFile(filepath.Join(j.base.Volume("ns", "c"), "go"), nil, 0o644); err != nil { // a mark
		t.Fatal(err)
	}
	j.over()
	for _, path := range []string{j.dir.Spec(), j.dir.Reserve()} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if state, err := j.dir.ReadState(); err != nil || state.Finished {
		t.Errorf("got %s, %v", asJSON(state), err)
	}
}

// hideState has every state refused: a directory that is not empty has its name.
func (j *job) hideState() {
	j.Helper()
	if err := os.MkdirAll(filepath.Join(j.dir.State(), "in-the-way"), jobdir.DirMode); err != nil {
		j.Fatal(err)
	}
	give(j.T, j.dir.State())
}

// daemons leaves processes behind in sessions of their own that take no notice of TERM.
const daemons = `for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP; sleep 1000 & sleep 1000' & done; `

func TestNoProcessIsLeftBehind(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		for name, end := range map[string]func(*job){
			"when the pod ends by itself":   nil,
			"when the job gets TERM":        func(j *job) { j.signal(syscall.SIGTERM) },
			"when podrunner is killed":      func(j *job) { j.signal(syscall.SIGKILL) },
			"when all of it is told to end": func(j *job) { j.signalAll(syscall.SIGTERM) },
			"when the container is killed":  func(j *job) { j.killMain() },
		} {
			t.Run(name, func(t *testing.T) {
				script := daemons + "echo up; trap 'exit 0' TERM; while :; do sleep 0.1; done"
				if end == nil {
					script = daemons + "echo up; sleep 0.3; exit 0"
				}
				j := newJob(t, base, f, pod(script, grace(2), and(container("other", daemons+"echo up; sleep 0.2; exit 0")))).start()
				if end != nil {
					j.untilLogged("main", "up")
					// They tell what they are once each runs its own program.
					j.eventually("the processes of both containers", func() (bool, string) {
						left := j.left()
						return len(left) >= 8, strings.Join(left, "\n")
					})
					end(j)
				}
				_ = j.cmd.Wait()
				j.nothingLeft()
			})
		}
	})
}

// signalAll sends a signal to podrunner and to what runs beside it, as a batch system does.
func (j *job) signalAll(s syscall.Signal) {
	j.Helper()
	if err := syscall.Kill(-j.cmd.Process.Pid, s); err != nil {
		j.Error(err)
	}
}

// killMain kills the command of container main from outside.
func (j *job) killMain() {
	for _, pid := range j.commandOfMain() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// commandOfMain are the processes of container main that run its script, which has a loop.
func (j *job) commandOfMain() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		args, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if pid, notOne := strconv.Atoi(e.Name()); notOne == nil && err == nil && bytes.Contains(env, []byte(j.token)) && bytes.Contains(args, []byte("while :")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestWhatAnEarlierJobLeftIsKilledByTheNext(t *testing.T) {
	base := newBase(t)
	j := newJob(t, base, none(), pod("echo up; sleep 1000")).start()
	j.untilLogged("main", "up")
	// An agent that is stopped can't do its own part when podrunner is gone; what is below it is not killed with it.
	j.signal(syscall.SIGKILL)
	_ = j.cmd.Wait()
	next := newJob(t, base, none(), pod("exit 0"))
	next.run()
	j.nothingLeft()
}

func TestSecretsGoWithThePod(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		const secret = "s3cr3t-words-of-the-pod"
		j := newJob(t, base, f, pod("cat /sec/a >/dev/null; exit 0", volume("sec", "/sec", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}),
			with(func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "S", Value: secret}} })), func(s *jobdir.Spec) {
			s.Files = map[string]workload.FileVolume{"sec": {Files: []workload.File{{Path: "a", Mode: 0o600, Data: []byte(secret)}}}}
		})
		j.run()
		err := filepath.WalkDir(string(base), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte(secret)) && strings.Contains(name, j.token) {
				t.Errorf("%s holds the secret", name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		j.noScratch()
	})
}

func TestAPreExecRunsBeforeTheContainers(t *testing.T) {
	base := newBase(t)
	j := newJob(t, base, none(), pod("echo $FROM_PRE_EXEC; exit 0"), func(s *jobdir.Spec) {
		s.PreExec = "export FROM_PRE_EXEC='a  \"b\"'\nsleep 1000 &\necho said"
	})
	if state := j.run(); state.Decision.Phase != corev1.PodSucceeded || j.log("main") != "a \"b\"\n" || !strings.Contains(j.out.String(), "said") {
		t.Errorf("got %s, %q", asJSON(state.Decision), j.log("main"))
	}
	j.nothingLeft()
	failing := newJob(t, base, none(), pod("echo never"), func(s *jobdir.Spec) { s.PreExec = "echo no such module >&2; exit 3" })
	state := failing.run()
	if state.Decision.Reason != "PreExecFailed" || !strings.Contains(state.Decision.Message, "no such module") || failing.end(state, "main").ExitCode == 0 {
		t.Errorf("got %s", asJSON(state.Decision))
	}
}

// TestAPreExecIsNotRunTwiceOfAPodThatIsNeverToRestart is about a node that is lost before a container has begun.
func TestAPreExecIsNotRunTwiceOfAPodThatIsNeverToRestart(t *testing.T) {
	base := newBase(t)
	runs := filepath.Join(string(base), "runs")
	ran := func() string {
		data, err := os.ReadFile(runs)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return string(data)
	}
	j := newJob(t, base, none(), pod("echo never"), func(s *jobdir.Spec) {
		s.PreExec = "export LEFT_BEHIND=" + s.Token + "\necho run >>" + runs + "\nexec sleep 1000"
	}).start("SLURM_JOB_ID=5")
	j.eventually("the pre-exec", func() (bool, string) { return ran() != "", "" })
	j.signal(syscall.SIGKILL)
	_ = j.cmd.Wait()
	j.nothingLeft()
	state := j.run("SLURM_JOB_ID=5", "SLURM_RESTART_COUNT=1")
	if state.Decision.Phase != corev1.PodFailed || state.Decision.Reason != "JobRestarted" || j.log("main") != "" {
		t.Errorf("got %s", asJSON(state))
	}
	if got := ran(); got != "run\n" {
		t.Errorf("the pre-exec ran as often as this says: %q", got)
	}
}

// TestAPodThatIsCancelledBeforeItsContainersStartEnds is about a job that SLURM has forgotten: nobody tells it that its pod was cancelled.
func TestAPodThatIsCancelledBeforeItsContainersStartEnds(t *testing.T) {
	for name, c := range map[string]struct {
		// size is that of the file system, where it is a small one.
		size    string
		preExec string
		cancel  func(*job) error
	}{
		"in its pre-exec": {
			preExec: "exec sleep 1000",
			cancel:  func(j *job) error { return j.base.MarkDone(j.token, jobdir.Done{}) },
		},
		"while it waits for room": {
			size:   "size=100k",
			cancel: func(j *job) error { return j.base.MarkDone(j.token, jobdir.Done{}) },
		},
		"while it waits for room, by the removal of its directory": {
			size: "size=100k",
			// As a cancel does it: again, where podrunner writes into the directory while it is removed.
			cancel: func(j *job) error {
				j.eventually("the directory to be gone", func() (bool, string) {
					err := os.RemoveAll(string(j.dir))
					return err == nil, fmt.Sprint(err)
				})
				return nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := newBase(t)
			if c.size != "" {
				smallJobs(t, base, c.size)
			}
			ran := filepath.Join(string(base), "ran")
			j := newJob(t, base, none(), pod("echo never >"+ran), func(s *jobdir.Spec) {
				s.PreExec = ": >" + ran + "\n" + c.preExec
			})
			give(t, base.Jobs())
			j.start("SLURM_JOB_ID=1").eventually("it to wait", func() (bool, string) {
				if c.size == "" {
					_, err := os.Stat(ran)
					return err == nil, ""
				}
				_, err := j.dir.ReadState()
				return err == nil, ""
			})
			if err := c.cancel(j); err != nil {
				t.Fatal(err)
			}
			give(t, string(base))
			j.over()
			if data, err := os.ReadFile(ran); c.size != "" && !errors.Is(err, fs.ErrNotExist) || len(data) > 0 {
				t.Errorf("it ran after it was cancelled: %q, %v", data, err)
			}
			if state, err := j.dir.ReadState(); err == nil && state.Finished {
				t.Errorf("it says something of the end of a pod that is not its own: %s", asJSON(state))
			}
			j.nothingLeft()
		})
	}
}

func TestAJobScriptStandsForThePodsContainers(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo never", first(container("one", "exit 9")), and(container("other", "exit 8"))), func(s *jobdir.Spec) {
		s.JobScript = "#!/bin/sh\necho \"script of job $SLURM_JOB_ID\"\nexit 5\n"
	})
	state := j.run("SLURM_JOB_ID=12")
	if state.Decision.Phase != corev1.PodFailed || j.end(state, "main").ExitCode != 5 || j.end(state, "one").ExitCode != 0 || j.end(state, "other").ExitCode != 0 {
		t.Errorf("got %s", asJSON(state.Decision))
	}
	if got := j.log("main"); got != "script of job 12\n" {
		t.Errorf("the script wrote %q", got)
	}
}

func TestRanksRunEachInAContainer(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		if f.runtime.Type == "Podman" {
			return // a pod of its own for each rank: one network each, which ranks can't use
		}
		// A launcher that starts two ranks one after another.
		launch := []string{"sh", "-c", `PMI_RANK=0 "$@"; PMI_RANK=1 exec "$@"`, "$(SLURM_NTASKS)"}
		j := newJob(t, base, f, pod(`echo "rank $PMI_RANK of $SLURM_NTASKS: $(cat /cfg/a)"; echo $PMI_RANK >>/shared/ranks; exit $((PMI_RANK + 3))`,
			first(container("one", "test -d /shared")), shared(), volume("cfg", "/cfg", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}})), func(s *jobdir.Spec) {
			s.Launch = launch
			s.Files = map[string]workload.FileVolume{"cfg": {Files: []workload.File{{Path: "a", Mode: 0o644, Data: []byte("A")}}}}
		})
		state := j.run("SLURM_NTASKS=2")
		if got := j.log("main"); got != "rank 0 of 2: A\nrank 1 of 2: A\n" || j.end(state, "main").ExitCode != 4 {
			t.Errorf("the ranks wrote %q; %s", got, asJSON(state.Decision))
		}
		j.noScratch()
	})
}

func TestAPodEndsWellOnAFullFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		skip.Lacking(t, "only root can mount a small file system")
	}
	base := newBase(t)
	if err := syscall.Mount("tmpfs", string(base), "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		skip.Lacking(t, "no small file system can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(string(base), syscall.MNT_DETACH) })
	if err := os.Mkdir(base.Jobs(), jobdir.DirMode); err != nil {
		t.Fatal(err)
	}
	give(t, string(base))
	j := newJob(t, base, none(), pod("echo begin; i=0; while [ $i -lt 3000 ]; do echo 'some words that fill the log, again and again'; echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; "+
		"echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; i=$((i+1)); done; exit 7"))
	state := j.run()
	if end := j.end(state, "main"); end.ExitCode != 7 || state.Decision.Phase != corev1.PodFailed {
		t.Errorf("got %s", asJSON(state.Decision))
	}
	if got := j.log("main"); !strings.HasPrefix(got, "begin\n") || !strings.Contains(got, "[podrunner: the ") {
		t.Errorf("the log has no mark: it ends with %q", got[max(0, len(got)-300):])
	}
}
