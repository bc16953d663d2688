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

package jobdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const token = "rj-0123456789abcdef0123456789abcdef"

func newDir(t *testing.T) Dir {
	t.Helper()
	d := Base(t.TempDir()).Job(token)
	if err := os.MkdirAll(string(d), DirMode); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAJobsDirectoryNamesItsBaseAndToken(t *testing.T) {
	base, got, err := BaseOf(Base("/scratch/rj").Job(token))
	if err != nil || base != "/scratch/rj" || got != token {
		t.Errorf("got %q, %q, %v", base, got, err)
	}
	for _, wrong := range []Dir{"", "jobs/" + token, "/scratch/rj/" + token, "/scratch/jobs/rj-zz", "/scratch/jobs/..", "/scratch/jobs/rj-", Dir("/scratch/jobs/" + token + "/x")} {
		if base, got, err := BaseOf(wrong); err == nil {
			t.Errorf("%q passed as job %q in %q", wrong, got, base)
		}
	}
}

func TestOnlyTokensPass(t *testing.T) {
	for s, want := range map[string]bool{
		token: true, workload.PodToken("l", "n", "u"): true, "": false, "rj-": false, "rj-0123": false, "RJ-" + token[3:]: false,
		"rj-0123456789abcdef/../..": false, token + "\n": false, "rj-0123456789ABCDEF": false,
	} {
		if ValidToken(s) != want {
			t.Errorf("ValidToken(%q) is not %v", s, want)
		}
	}
}

func TestOfManyTakersOneWins(t *testing.T) {
	d := newDir(t)
	const takers = 20
	var wait sync.WaitGroup
	won := make([]bool, takers)
	holders := make([]Claim, takers)
	for i := range takers {
		wait.Go(func() {
			var err error
			holders[i], won[i], err = d.Take(Claim{JobID: string(rune('a' + i))})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	winners := 0
	for i := range won {
		if won[i] {
			winners++
		}
		if holders[i] != holders[0] {
			t.Errorf("taker %d saw %+v, taker 0 saw %+v", i, holders[i], holders[0])
		}
	}
	if winners != 1 {
		t.Errorf("%d won", winners)
	}
	left, err := os.ReadDir(string(d))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAClaimIsTakenOverOnlyByTheSameJobStartedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		holder, next Claim
		want         bool
	}{
		"another job":                  {Claim{JobID: "1"}, Claim{JobID: "2"}, false},
		"the same job":                 {Claim{JobID: "1"}, Claim{JobID: "1"}, false},
		"the same job, requeued":       {Claim{JobID: "1"}, Claim{JobID: "1", RestartCount: 1}, true},
		"an older start of it":         {Claim{JobID: "1", RestartCount: 2}, Claim{JobID: "1", RestartCount: 1}, false},
		"a later job with a count":     {Claim{JobID: "1"}, Claim{JobID: "2", RestartCount: 1}, false},
		"a job after a cancel":         {Claim{Cancelled: true}, Claim{JobID: "1", RestartCount: 1}, false},
		"a cancel after a job":         {Claim{JobID: "1"}, Claim{Cancelled: true}, false},
		"a cancel after a cancel":      {Claim{Cancelled: true}, Claim{Cancelled: true}, false},
		"one without an id, both none": {Claim{}, Claim{RestartCount: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			if _, won, err := d.Take(c.holder); err != nil || !won {
				t.Fatalf("the first taker: %v, %v", won, err)
			}
			holder, won, err := d.Take(c.next)
			if err != nil || won != c.want {
				t.Fatalf("got %+v, %v, %v", holder, won, err)
			}
			written, err := d.ReadClaim()
			if err != nil || !written.Same(holder) {
				t.Errorf("written is %+v, told %+v, %v", written, holder, err)
			}
		})
	}
}

func TestALinkWhoseAnswerWasLostCountsByItsNames(t *testing.T) {
	d := newDir(t)
	c := Claim{JobID: "7", Nonce: "n"}
	if err := writeJSON(d.Claim()+".n", c); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(d.Claim()+".n", d.Claim()); err != nil {
		t.Fatal(err)
	}
	if holder, won, err := d.Take(c); err != nil || !won {
		t.Errorf("got %+v, %v, %v", holder, won, err)
	}
}

func TestAMissingDirectoryIsALostClaimAndStaysMissing(t *testing.T) {
	d := Base(t.TempDir()).Job(token)
	if _, won, err := d.Take(Claim{JobID: "1"}); won || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, %v", won, err)
	}
	if _, err := os.Stat(string(d)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	d := newDir(t)
	seconds := int64(5)
	spec := &Spec{
		Token: token, Ledger: "l", Backend: "b", Job: types.NamespacedName{Namespace: "n", Name: "j"},
		Pod:         &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &seconds}},
		Files:       map[string]workload.FileVolume{"v": {Files: []workload.File{{Path: "a/b", Mode: 0o440, Data: []byte("\x00\xff'\"$\\\n")}}}},
		PullSecrets: []workload.FileData{{".dockerconfigjson": []byte("{}")}},
		Runtime:     Runtime{Type: "None", Options: []string{"--x"}}, PreExec: "module load x", Launch: []string{"srun"}, Logs: LogLimits{MaxBytes: 1},
	}
	if err := d.WriteSpec(spec); err != nil {
		t.Fatal(err)
	}
	if got, err := d.ReadSpec(); err != nil || !reflect.DeepEqual(got, spec) {
		t.Errorf("got %+v, %v", got, err)
	}
	info, err := os.Stat(d.Spec())
	if err != nil || info.Mode().Perm() != FileMode {
		t.Errorf("the spec has mode %v, %v", info.Mode(), err)
	}

	state := State{JobID: "1", Sequence: 3, Decision: podlifecycle.Decision{Phase: corev1.PodRunning, Actions: []podlifecycle.Action{{Kind: podlifecycle.ActionStart}}}}
	if err := d.WriteState(state); err != nil {
		t.Fatal(err)
	}
	state.Decision.Actions = nil
	if got, err := d.ReadState(); err != nil || !reflect.DeepEqual(*got, state) {
		t.Errorf("got %+v, %v", got, err)
	}

	if _, err := d.ReadStop(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no stop reads as %v", err)
	}
	stop := Stop{GracePeriod: &metav1.Duration{Duration: 1500 * time.Millisecond}, Reason: "Deleted"}
	if err := d.WriteStop(stop); err != nil {
		t.Fatal(err)
	}
	if got, err := d.ReadStop(); err != nil || !reflect.DeepEqual(*got, stop) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestADoneMarkerIsSeen(t *testing.T) {
	base := Base(t.TempDir())
	if done, err := base.IsDone(token); done || err != nil {
		t.Errorf("got %v, %v", done, err)
	}
	if err := base.MarkDone(token, Done{Reason: "deleted"}); err != nil {
		t.Fatal(err)
	}
	if done, err := base.IsDone(token); !done || err != nil {
		t.Errorf("got %v, %v", done, err)
	}
}

func TestTheLastStateIsWrittenWhereThereIsNoRoom(t *testing.T) {
	d := newDir(t)
	if os.Geteuid() == 0 {
		if err := syscall.Mount("tmpfs", string(d), "tmpfs", 0, "size=512k"); err != nil {
			t.Logf("without a full file system, since none can be mounted: %v", err)
		} else {
			t.Cleanup(func() { _ = syscall.Unmount(string(d), syscall.MNT_DETACH) })
		}
	}
	if err := d.MakeReserve(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteState(State{JobID: "1", Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	fill(t, d)
	last := State{JobID: "1", Sequence: 2, Finished: true, Decision: podlifecycle.Decision{Phase: corev1.PodFailed, Message: strings.Repeat("m", 5000)}}
	if err := d.WriteState(last); err == nil {
		t.Log("the file system is not full: over the reserve all the same")
		if err := d.overwriteReserve([]byte(`{"jobID":"1","sequence":2,"finished":true}`)); err != nil {
			t.Fatal(err)
		}
	} else if err := d.WriteLastState(last); err != nil {
		t.Fatal(err)
	}
	got, err := d.ReadState()
	if err != nil || !got.Finished || got.Sequence != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(string(d), ".state*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// fill leaves no room, where the directory is a small file system.
func fill(t *testing.T, d Dir) {
	t.Helper()
	f, err := os.Create(filepath.Join(string(d), "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 1024 {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			if !IsFull(err) {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestALastStateThatIsTooLongLosesItsMessages(t *testing.T) {
	d := newDir(t)
	if err := d.MakeReserve(); err != nil {
		t.Fatal(err)
	}
	long := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Message: strings.Repeat("m", reserveSize)}}
	short := brief([]corev1.ContainerStatus{{Name: "c", State: long, LastTerminationState: long}})
	if got := short[0].State.Terminated; got.ExitCode != 3 || got.Message != "" || short[0].LastTerminationState.Terminated != nil {
		t.Errorf("got %+v", short[0])
	}
	if long.Terminated.Message == "" {
		t.Error("the caller's statuses were changed")
	}
	if err := d.overwriteReserve(make([]byte, reserveSize+1)); err == nil {
		t.Error("what does not fit was written")
	}
}
