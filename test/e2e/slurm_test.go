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

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestAPodRunsOnSLURMFromItsCreateToItsDelete(t *testing.T) {
	f := onSLURM(t)
	one, ranOne := f.counted("one", `printf '%s\n' "$WORD" "$1"; cat /etc/config/file; sleep 1; exit 3`)
	one.Args = []string{"sh", `an "argument" with $HOME`}
	one.Env = []corev1.EnvVar{{Name: "WORD", Value: "a value\nof two lines"}}
	one.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/config"}}
	two, ranTwo := f.counted("two", "echo two >&2")
	pod := harness.NewPod("whole", f.backend, one, two)
	pod.Spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "settings"},
	}}}}
	created := f.create(harness.Request(pod).With("one", []corev1.ConfigMap{configMap("settings", map[string]string{"file": "content\n"})}, nil))
	if _, err := strconv.Atoi(created.PodJID); err != nil {
		t.Errorf("the job's id is %q, and SLURM's are numbers", created.PodJID)
	}
	f.exits(f.ended(pod, longTime), map[string]int32{"one": 3, "two": 0})
	if got, want := f.log(pod, "one", harness.LogOpts{}), "a value\nof two lines\nan \"argument\" with $HOME\ncontent\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if got := f.log(pod, "two", harness.LogOpts{}); got != "two\n" {
		t.Errorf("the log of two is %q", got)
	}
	job := f.ledger.MustJob(f.ctx, t, pod)
	if job.Status.JobID != created.PodJID || job.Status.NodeName == "" || job.Status.Phase != v1alpha1.PhaseFailed {
		t.Errorf("the RemoteJob is job %q on node %q, %s; /create said %q", job.Status.JobID, job.Status.NodeName, job.Status.Phase, created.PodJID)
	}
	f.clean(pod)
	if ranOne() != 1 || ranTwo() != 1 {
		t.Errorf("the containers ran %d and %d times", ranOne(), ranTwo())
	}
}

func TestWhatSbatchRefusesComesBackFromCreateWordForWord(t *testing.T) {
	f := onSLURM(t)
	container, ran := f.counted("c", "exit 0")
	pod := harness.NewPod("refused", f.backend, container)
	pod.Annotations["slurm-job.vk.io/flags"] = "--partition=nowhere"
	f.deleteAfterwards(pod)
	_, answer, err := f.manager.Create(f.ctx, harness.Request(pod).Body(t))
	const words = "invalid partition specified: nowhere"
	if err != nil || answer.Code < 400 || answer.Code > 499 || !strings.Contains(string(answer.Body), words) {
		t.Errorf("/create: %v, %d %s; want a 4xx with %q", err, answer.Code, answer.Body, words)
	}

	abbreviated := harness.NewPod("abbreviated", f.backend, container)
	abbreviated.Annotations["slurm-job.vk.io/flags"] = "--part=main"
	_, answer, err = f.manager.Create(f.ctx, harness.Request(abbreviated).Body(t))
	if err != nil || answer.Code < 400 || answer.Code > 499 || !strings.Contains(string(answer.Body), "--part") {
		t.Errorf("/create with an abbreviated option: %v, %d %s", err, answer.Code, answer.Body)
	}
	if ran() != 0 {
		t.Error("a pod ran that was refused")
	}
}

// TestAManagerKilledWhileItsPodsAreOnSLURMLosesNothingAndRepeatsNothing kills it again and again, at moments that nobody chose: while pods
// are submitted, while they run, while they end.
func TestAManagerKilledWhileItsPodsAreOnSLURMLosesNothingAndRepeatsNothing(t *testing.T) {
	f := onSLURM(t)
	const pods, kills = 12, 6
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))

	type one struct {
		pod *corev1.Pod
		ran func() int
	}
	all := make([]one, pods)
	var wg sync.WaitGroup
	for i := range all {
		container, ran := f.counted("c", fmt.Sprintf("echo pod %d; sleep %d; exit %d", i, i%4, i))
		all[i] = one{harness.NewPod(fmt.Sprintf("killed-%d", i), f.backend, container), ran}
		f.deleteAfterwards(all[i].pod)
		body := harness.Request(all[i].pod).Body(t)
		wg.Go(func() {
			// A call whose manager is killed is lost; what counts here is that it can be made again.
			err := harness.Poll(5*longTime, func() error {
				_, answer, err := f.manager.Create(f.ctx, body)
				if err == nil && answer.Code != http.StatusOK {
					err = fmt.Errorf("%d %s", answer.Code, answer.Body)
				}
				return err
			})
			if err != nil {
				t.Errorf("create pod %d: %v", i, err)
			}
		})
	}
	for range kills {
		<-time.After(time.Duration(moments.IntN(2500)) * time.Millisecond)
		if err := f.manager.WaitReady(); err != nil {
			t.Fatal(err)
		}
		f.manager.Kill()
	}
	wg.Wait()
	if err := f.manager.WaitReady(); err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		var st harness.PodStatus
		harness.Eventually(t, longTime, "pod "+p.pod.Name+" ends", func() error {
			var err error
			if st, err = f.status(p.pod); err == nil && !st.Ended() {
				err = fmt.Errorf("it has not: %s", states(st))
			}
			return err
		})
		f.exits(st, map[string]int32{"c": int32(i)})
		// The manager may have begun anew a moment ago: a log can be read when it has reached the cluster again.
		harness.Eventually(t, longTime, "the log of pod "+p.pod.Name, func() error {
			answer, err := f.manager.Logs(f.ctx, p.pod, "c", harness.LogOpts{})
			if want := fmt.Sprintf("pod %d\n", i); err == nil && string(answer.Body) != want {
				err = fmt.Errorf("%d %q, want %q", answer.Code, answer.Body, want)
			}
			return err
		})
		f.clean(p.pod)
		if n := p.ran(); n != 1 {
			t.Errorf("pod %d ran %d times", i, n)
		}
	}
	if f.manager.Kills() != kills {
		t.Errorf("the manager was killed %d times, want %d", f.manager.Kills(), kills)
	}
}

// TestALostSSHConnectionHarmsNoPod cuts the line to the login node while pods run, end and are created, and while one is deleted.
func TestALostSSHConnectionHarmsNoPod(t *testing.T) {
	f := onSLURM(t)
	gate := filepath.Join(f.site.dir, "gate-"+string(harness.NewUID()))
	ends, ranEnds := f.counted("c", "while [ ! -e "+gate+" ]; do sleep 0.1; done; echo ended; exit 7")
	stays, ranStays := f.counted("c", "sleep 600")
	late, ranLate := f.counted("c", "exit 5")
	ending, staying, created := harness.NewPod("ends", f.backend, ends), harness.NewPod("stays", f.backend, stays), harness.NewPod("late", f.backend, late)
	grace := int64(1)
	staying.Spec.TerminationGracePeriodSeconds = &grace
	f.run(ending)
	f.run(staying)
	f.running(ending, "c")
	f.running(staying, "c")

	f.line.Refuse(true)
	f.line.Cut()
	f.ready(metav1.ConditionFalse)
	if err := os.WriteFile(gate, nil, 0o644); err != nil { // another user looks for it
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "an end behind the line", func() error {
		return f.finished(f.ledger.Token(ending))
	})
	f.run(created)
	f.running(ending, "c")
	f.running(staying, "c")
	if answer, err := f.manager.Delete(f.ctx, staying); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/delete while the line is cut: %v, %d %s", err, answer.Code, answer.Body)
	}
	harness.Always(t, 5*time.Second, "nothing ends while the line is cut", func() error {
		st, err := f.status(ending)
		if err == nil && st.Ended() {
			err = fmt.Errorf("%s", states(st))
		}
		return err
	})

	f.line.Refuse(false)
	f.ready(metav1.ConditionTrue)
	f.exits(f.ended(ending, longTime), map[string]int32{"c": 7})
	f.exits(f.ended(created, longTime), map[string]int32{"c": 5})
	if got := f.log(ending, "c", harness.LogOpts{}); got != "ended\n" {
		t.Errorf("the log is %q", got)
	}
	f.cleaned(staying, nil)
	f.clean(ending)
	f.clean(created)
	if ranEnds() != 1 || ranStays() != 1 || ranLate() != 1 {
		t.Errorf("the pods ran %d, %d and %d times", ranEnds(), ranStays(), ranLate())
	}
}

// TestALineThatIsCutInTheMiddleOfASubmissionRunsThePodOnce cuts it after so and so many bytes of what a submission sends.
func TestALineThatIsCutInTheMiddleOfASubmissionRunsThePodOnce(t *testing.T) {
	f := onSLURM(t)
	for _, bytes := range []int{1, 500, 2000, 4000, 6000, 9000} {
		container, ran := f.counted("c", "exit 4")
		pod := harness.NewPod(fmt.Sprintf("cut-%d", bytes), f.backend, container)
		f.line.CutAfter(bytes)
		f.run(pod)
		f.exits(f.ended(pod, longTime), map[string]int32{"c": 4})
		f.clean(pod)
		if n := ran(); n != 1 {
			t.Errorf("cut after %d bytes, the pod ran %d times", bytes, n)
		}
	}
}
