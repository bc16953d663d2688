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
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sweep"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const (
	// onTerm says when it got TERM, and ends; deaf takes no notice of it.
	onTerm = `trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 0.1; done`
	deaf   = `trap '' TERM; echo up; while :; do sleep 0.1; done`
)

func TestAPodRunsToItsEnd(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod("cat /shared/order; hostname; printf 'last words' >/dev/termination-log; exit 3",
			first(container("one", "sleep 0.3; echo one >>/shared/order")), first(container("two", "echo two >>/shared/order")),
			and(container("other", "sleep 0.5; exit 0")), shared()))
		state := j.run("SLURM_JOB_ID=77", "SLURMD_NODENAME=n1")
		if state.Decision.Phase != corev1.PodFailed || state.JobID != "77" || state.Node != "n1" || state.Sequence < 3 {
			t.Errorf("got %s", asJSON(state))
		}
		end := j.end(state, "main")
		if end.ExitCode != 3 || end.Message != "last words" || end.ContainerID == "" || end.StartedAt.IsZero() {
			t.Errorf("main ended as %s", asJSON(end))
		}
		if got := j.log("main"); got != "one\ntwo\np\n" {
			t.Errorf("main wrote %q", got)
		}
		j.nothingLeft()
		j.noScratch()
		if left, _ := filepath.Glob(string(j.dir) + "/*"); !slices.Equal(left, []string{j.dir.Begun(), j.dir.Claim(), j.dir.Logs(), j.dir.State()}) {
			t.Errorf("the directory holds %v", left)
		}
	})
}

// nasty are values that careless quoting breaks.
var nasty = []string{
	"", " ", "  two  spaces  ", `"double"`, `'single'`, `back\slash`, `\n`, "$HOME", "${HOME}", "`id`", "$(id)", "a\nb\n", "\n", "\ttab", "\r", "ünïcödé ✓ 日本",
	"*", "~", "a=b", "-n", "--", "#x", "!x", "x;y&z|w>v<u", "'q'", `"`, "'", "a,b", "a:b", "%s", "\x01\x7f",
}

func TestArgumentsEnvAndFilesArriveByteForByte(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		values := append([]string{}, nasty...)
		r := rand.New(rand.NewPCG(7, uint64(len(f.runtime.Type))))
		alphabet := []rune("ab \"'$\\\n\t`(){}é✓*?~#;&|<>=!%,:")
		for range 60 {
			var b strings.Builder
			for range r.IntN(40) {
				b.WriteRune(alphabet[r.IntN(len(alphabet))])
			}
			values = append(values, b.String())
		}
		values = append(values, strings.Repeat("x", 100<<10))
		var want, script strings.Builder
		script.WriteString(`for a in "$@"; do printf %s "$a" | od -An -v -tx1 | tr -d ' \n'; echo; done; `)
		var env []corev1.EnvVar
		var files []workload.File
		for i, v := range values {
			env = append(env, corev1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: v})
			files = append(files, workload.File{Path: fmt.Sprintf("d/f%03d", i), Mode: 0o644, Data: []byte(v)})
		}
		binary := make([]byte, 300<<10)
		for i := range binary {
			binary[i] = byte(r.Uint32())
		}
		files = append(files, workload.File{Path: "z", Mode: 0o400, Data: binary})
		for _, v := range values {
			want.WriteString(hex.EncodeToString([]byte(v)) + "\n")
		}
		for i, v := range values {
			fmt.Fprintf(&script, "printf %%s \"$V%d\" | od -An -v -tx1 | tr -d ' \\n'; echo; ", i)
			want.WriteString(hex.EncodeToString([]byte(v)) + "\n")
		}
		script.WriteString(`for f in /files/d/*; do od -An -v -tx1 "$f" | tr -d ' \n'; echo; done; od -An -v -tx1 /files/z | tr -d ' \n'; echo; stat -L -c %a /files/z /files/d/f000`)
		for _, v := range values {
			want.WriteString(hex.EncodeToString([]byte(v)) + "\n")
		}
		want.WriteString(hex.EncodeToString(binary) + "\n400\n644\n")
		p := pod("", volume("files", "/files", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}),
			with(func(c *corev1.Container) {
				c.Command, c.Args, c.Env = []string{"sh", "-c", script.String(), "sh"}, values, env
			}))
		j := newJob(t, base, f, p, func(s *jobdir.Spec) { s.Files = map[string]workload.FileVolume{"files": {Files: files}} })
		state := j.run()
		if end := j.end(state, "main"); end.ExitCode != 0 {
			t.Errorf("main ended as %s", asJSON(end))
		}
		got, lines := strings.Split(j.log("main"), "\n"), strings.Split(want.String(), "\n")
		if len(got) != len(lines) {
			t.Fatalf("main wrote %d lines, want %d: %.300q", len(got), len(lines), got)
		}
		for i := range lines {
			if got[i] != lines[i] {
				t.Errorf("line %d is %.200q, want %.200q", i, got[i], lines[i])
			}
		}
	})
}

func TestVolumesAreWhereThePodWantsThem(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		outside := filepath.Join(place, "outside-"+f.runtime.Type)
		if err := os.MkdirAll(outside, 0o755); err != nil { // a directory of the node
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, "x"), []byte("from the node\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		script := `cat /etc/one; ls /dir; cat /node/x; echo a >/claim/a; cat /sub/deep; ls /mem; stat -c %a /mem /claim2 2>/dev/null
			for p in /etc/one /dir/b /ro/x /node/x; do (echo x >$p) 2>/dev/null && echo "$p was written"; done; exit 0`
		mode := int32(0o1770)
		p := pod(script, first(container("before", "mkdir -p /shared/deep; echo sub >/shared/deep/deep; touch /shared/ro")), shared(),
			func(p *corev1.Pod) {
				p.Spec.Volumes = append(p.Spec.Volumes,
					corev1.Volume{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}},
					corev1.Volume{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: outside}}},
					corev1.Volume{Name: "claim", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
					corev1.Volume{Name: "mem", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, Mode: &mode}}})
				p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
					{Name: "cfg", MountPath: "/etc/one", SubPath: "a"},
					{Name: "cfg", MountPath: "/dir", SubPath: "d"},
					{Name: "node", MountPath: "/node", ReadOnly: true},
					{Name: "claim", MountPath: "/claim"},
					{Name: "shared", MountPath: "/sub", SubPath: "deep"},
					{Name: "shared", MountPath: "/ro", ReadOnly: true},
					{Name: "mem", MountPath: "/mem"},
				}
			})
		j := newJob(t, base, f, p, func(s *jobdir.Spec) {
			s.Files = map[string]workload.FileVolume{"cfg": {Files: []workload.File{{Path: "a", Mode: 0o666, Data: []byte("AAA\n")}, {Path: "d/b", Mode: 0o666, Data: []byte("B")}}}}
		})
		state := j.run()
		if got := j.log("main"); got != "AAA\nb\nfrom the node\nsub\n1770\n" {
			t.Errorf("main wrote %q and ended as %s", got, asJSON(j.end(state, "main")))
		}
		if data, err := os.ReadFile(filepath.Join(base.Volume("ns", "data"), "a")); err != nil || string(data) != "a\n" {
			t.Errorf("the claim holds %q, %v", data, err)
		}
		j.noScratch()
	})
}

func TestContainersAreStartedAgainAndTheirLogsKept(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod("echo run >>/shared/runs; echo this is run $(wc -l </shared/runs); [ $(wc -l </shared/runs) -ge 2 ]",
			restarting(corev1.RestartPolicyOnFailure), shared()))
		state := j.run()
		s := statusOf(state, "main")
		if state.Decision.Phase != corev1.PodSucceeded || s.RestartCount != 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 1 {
			t.Errorf("got %s", asJSON(state.Decision))
		}
		if got := j.log("main"); got != "this is run 2\n" {
			t.Errorf("the log is %q", got)
		}
		if got := j.log("main", func(r *sweep.LogRequest) { r.Previous = true }); got != "this is run 1\n" {
			t.Errorf("the previous log is %q", got)
		}
	})
}

func TestProbesAndHooksReachTheContainer(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		port := int32(20000 + rand.IntN(10000))
		p := pod(`trap 'cat /shared/order; exit 0' TERM; while :; do sleep 0.1; done`, shared(), grace(30),
			and(container("web", fmt.Sprintf("mkdir -p /shared/www; echo ok >/shared/www/ok; sleep 1; busybox httpd -f -p %d -h /shared/www", port))),
			with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{
					PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo postStart >>/shared/order"}}},
					PreStop:   &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "sleep 0.5; echo preStop >>/shared/order"}}},
				}
				c.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"grep", "postStart", "/shared/order"}}}}
			}),
			func(p *corev1.Pod) {
				p.Spec.Containers[1].VolumeMounts = p.Spec.Containers[0].VolumeMounts
				p.Spec.Containers[1].ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ok", Port: intstr.FromInt32(port)}}}
				p.Spec.Containers[1].LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 60, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}}
			})
		j := newJob(t, base, f, p).start()
		j.eventually("both to be ready", func() (bool, string) {
			m, w := j.status("main"), j.status("web")
			return m.Ready && w.Ready, asJSON([]any{m, w})
		})
		if err := j.dir.WriteStop(jobdir.Stop{GracePeriod: &metav1.Duration{Duration: 20 * time.Second}, Reason: "Deleted", Message: "the pod was deleted"}); err != nil {
			t.Fatal(err)
		}
		give(t, string(j.dir))
		j.signal(syscall.SIGTERM)
		state := j.ended()
		if state.Decision.Phase != corev1.PodFailed || state.Decision.Reason != "Deleted" || state.Decision.Message != "the pod was deleted" {
			t.Errorf("got %s", asJSON(state.Decision))
		}
		if got := j.log("main"); got != "postStart\npreStop\n" {
			t.Errorf("the order was %q", got)
		}
		if s := statusOf(state, "web"); s.RestartCount != 0 {
			t.Errorf("web was started again %d times", s.RestartCount)
		}
	})
}

func TestALivenessProbeThatFailsStartsTheContainerAgain(t *testing.T) {
	base := newBase(t)
	// The first run fails its probe once it can be told to end, and the second never does.
	const script = `echo run >>/shared/runs; [ $(wc -l </shared/runs) -ge 2 ] && exit 0
		trap 'rm /shared/sick; exit 5' TERM; touch /shared/sick; while :; do sleep 0.1; done`
	j := newJob(t, base, none(), pod(script, shared(), restarting(corev1.RestartPolicyOnFailure), grace(60), with(func(c *corev1.Container) {
		c.LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: []string{"sh", "-c", "[ ! -e /shared/sick ]"},
		}}}
	})))
	state := j.run()
	s := statusOf(state, "main")
	if state.Decision.Phase != corev1.PodSucceeded || s.RestartCount != 1 || s.LastTerminationState.Terminated.ExitCode != 5 || !strings.Contains(s.LastTerminationState.Terminated.Message, "liveness") {
		t.Errorf("got %s", asJSON(state.Decision))
	}
}

// The end of a container ends its hook, too, and fails it.
func TestAContainerThatEndsWellWhileItsHookRunsHasEndedWell(t *testing.T) {
	const script = "echo run >>/shared/runs; while [ ! -e /shared/hooked ]; do sleep 0.1; done; cat /shared/runs"
	j := newJob(t, newBase(t), none(), pod(script, shared(), restarting(corev1.RestartPolicyOnFailure), with(func(c *corev1.Container) {
		c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{
			Command: []string{"sh", "-c", "touch /shared/hooked; exec sleep 1000"},
		}}}
	})))
	state := j.run()
	if s := statusOf(state, "main"); state.Decision.Phase != corev1.PodSucceeded || s.RestartCount != 0 || j.log("main") != "run\n" {
		t.Errorf("got %s; it wrote %q", asJSON(state.Decision), j.log("main"))
	}
}

func TestATermIsAGracefulStop(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod(onTerm, and(container("deaf", deaf)), grace(15))).start()
		j.untilLogged("main", "up")
		j.untilLogged("deaf", "up")
		j.signal(syscall.SIGTERM)
		state := j.ended()
		if state.Decision.Phase != corev1.PodFailed || state.Decision.Reason != "JobTerminated" {
			t.Errorf("got %s", asJSON(state.Decision))
		}
		if got := j.end(state, "main"); got.ExitCode != 0 {
			t.Errorf("main ended as %s", asJSON(got))
		}
		if got := j.end(state, "deaf"); got.ExitCode != 137 || got.Reason != "Error" {
			t.Errorf("deaf ended as %s", asJSON(got))
		}
		j.nothingLeft()
	})
}

// TestAPodThatIsToldToEndTogetherWithItsContainerNeverSucceeds is about a batch system that signals all processes of a job, in any order: a
// container that ends well by that has not come to its end.
func TestAPodThatIsToldToEndTogetherWithItsContainerNeverSucceeds(t *testing.T) {
	base := newBase(t)
	for name, end := range map[string]func(*job, int){
		"podrunner first": func(j *job, main int) {
			j.signal(syscall.SIGTERM)
			_ = syscall.Kill(main, syscall.SIGTERM) // podrunner may have ended it by now
		},
		// Stopped, it can't see the end before it is sent the signal, however busy the machine is.
		"the container first": func(j *job, main int) {
			j.signal(syscall.SIGSTOP)
			if err := syscall.Kill(main, syscall.SIGTERM); err != nil {
				j.Error(err)
			}
			j.eventually("the container's end", func() (bool, string) { return len(j.commandOfMain()) == 0, "" })
			j.signal(syscall.SIGTERM)
			j.signal(syscall.SIGCONT)
		},
	} {
		for n := range 4 {
			t.Run(name+" "+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				// A shell that waits for its child heeds a signal at once.
				j := newJob(t, base, none(), pod("trap 'exit 0' TERM; sleep 1000 & echo up; while :; do wait; done")).start()
				j.untilLogged("main", "up")
				var pids []int
				// The child tells what it is once it runs its own program.
				j.eventually("the container's command", func() (bool, string) {
					pids = j.commandOfMain()
					return len(pids) == 1, fmt.Sprint(pids)
				})
				end(j, pids[0])
				state := j.ended()
				if state.Decision.Phase != corev1.PodFailed || state.Decision.Reason != jobdir.ReasonTerminated || j.end(state, "main").ExitCode != 0 {
					t.Errorf("got %s", asJSON(state.Decision))
				}
			})
		}
	}
}

func TestADeadlineEndsThePod(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod(onTerm, func(p *corev1.Pod) { s := int64(30); p.Spec.ActiveDeadlineSeconds = &s }))
	if state := j.run(); state.Decision.Reason != "DeadlineExceeded" || !strings.Contains(j.log("main"), "got TERM") {
		t.Errorf("got %s", asJSON(state.Decision))
	}
}

func TestASidecarStartsBeforeAndEndsAfterTheOthers(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	side := container("side", `trap 'echo side >>/shared/order; cat /shared/order; exit 3' TERM; touch /shared/sidecar; while :; do sleep 0.1; done`)
	side.RestartPolicy = &always
	j := newJob(t, newBase(t), none(), pod("while [ ! -e /shared/sidecar ]; do sleep 0.1; done; echo main >>/shared/order; exit 0", grace(60), first(side), shared()))
	if state := j.run(); state.Decision.Phase != corev1.PodSucceeded || j.log("side") != "main\nside\n" {
		t.Errorf("got %s, %q", asJSON(state.Decision), j.log("side"))
	}
}

func TestACommandThatDoesNotExistIsAStartError(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod("", with(func(c *corev1.Container) { c.Command = []string{"/no/such/program"} })))
		end := j.end(j.run(), "main")
		if end.ExitCode != 128 || end.Reason != "StartError" || !strings.Contains(end.Message, "/no/such/program") {
			t.Errorf("main ended as %s", asJSON(end))
		}
	})
}

func TestAContainerThatTakesMoreThanItsLimitIsOOMKilled(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod("", with(func(c *corev1.Container) {
			c.Command = []string{"sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=100; exit 0"}
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
		}), and(container("other", "sleep 1; exit 0"))))
		state := j.run()
		if end := j.end(state, "main"); end.ExitCode != 137 || end.Reason != "OOMKilled" {
			t.Errorf("main ended as %s", asJSON(end))
		}
		if end := j.end(state, "other"); end.ExitCode != 0 {
			t.Errorf("other ended as %s", asJSON(end))
		}
	})
}

func TestAHookWritesToTheLogByTheFirstProcess(t *testing.T) {
	eachFlavour(t, func(t *testing.T, base jobdir.Base, f flavour) {
		t.Helper()
		j := newJob(t, base, f, pod("while [ ! -e /shared/hooked ]; do sleep 0.05; done; echo main", shared(), with(func(c *corev1.Container) {
			c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo hook >/proc/1/fd/1; touch /shared/hooked"}}}}
		})))
		if state := j.run(); state.Decision.Phase != corev1.PodSucceeded || j.log("main") != "hook\nmain\n" {
			t.Errorf("main wrote %q: %s", j.log("main"), asJSON(state.Decision))
		}
	})
}
