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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sweep"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// The tests run podrunner as it is: its own program, as an unprivileged user, on whatever runtimes this machine has.
var (
	// place holds the program, the base directory and the image.
	place string
	// account is who podrunner runs as.
	account *user.User
	image   *harness.Image
)

const podmanImage = "localhost/podrun-test:1"

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	var err error
	if place, err = os.MkdirTemp("/tmp", "podrun"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(place) }()
	account, err = user.Current()
	if err == nil && account.Uid == "0" {
		account, err = slurm.EnsureUser(slurm.DefaultJobUser)
	}
	if err != nil {
		return 0, err
	}
	if err := os.Chmod(place, 0o755); err != nil { // the account is another user
		return 0, err
	}
	build := exec.Command("go", "build", "-o", program(), "github.com/remotejob-dev/remotejob-operator/cmd/podrunner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build podrunner: %w: %s", err, out)
	}
	if image, err = harness.BusyboxImage(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func program() string { return filepath.Join(place, "podrunner") }

// as runs a command as the account.
func as(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	uid, _ := strconv.ParseUint(account.Uid, 10, 32)
	gid, _ := strconv.ParseUint(account.Gid, 10, 32)
	cmd.Env = []string{"HOME=" + account.HomeDir, "USER=" + account.Username, "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return cmd
}

// newBase makes a base directory of the account.
func newBase(t *testing.T) jobdir.Base {
	t.Helper()
	dir, err := os.MkdirTemp(place, "base") //nolint:usetesting // the account may not pass the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	base := jobdir.Base(dir)
	for _, d := range []string{dir, base.Jobs()} {
		if err := os.MkdirAll(d, jobdir.DirMode); err != nil {
			t.Fatal(err)
		}
		give(t, d)
	}
	return base
}

func give(t *testing.T, path string) {
	t.Helper()
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(name, uid, gid)
		}
		if name != path && errors.Is(err, fs.ErrNotExist) {
			return nil // a podrunner that runs renames what it has written
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// flavour is a runtime to run pods by.
type flavour struct {
	runtime jobdir.Runtime
	image   string
}

// flavours are the runtimes that this machine has, None first.
func flavours(t *testing.T) map[string]flavour {
	t.Helper()
	all := map[string]flavour{"None": none()}
	if _, err := exec.LookPath("podman"); err == nil {
		all["Podman"] = podman(t)
	} else {
		t.Log("without Podman, which is not installed")
	}
	if _, err := exec.LookPath("ch-run"); err == nil {
		all["Charliecloud"] = charliecloud(t)
	} else {
		t.Log("without Charliecloud, which is not installed")
	}
	return all
}

func none() flavour { return flavour{jobdir.Runtime{Type: runtime.None}, "none"} }

func podman(t *testing.T) flavour {
	t.Helper()
	if _, err := os.Stat(filepath.Join(place, "podman-ready")); err == nil {
		return podmanFlavour()
	}
	load := as("podman", "import", "--change", "CMD [\"sh\"]", "-", podmanImage)
	load.Stdin = bytes.NewReader(image.Layer)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("load the image: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(place, "podman-ready"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return podmanFlavour()
}

func podmanFlavour() flavour {
	f := flavour{jobdir.Runtime{Type: runtime.Podman}, podmanImage}
	// crun refuses a machine with both versions of control groups.
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		f.runtime.Options = []string{"--runtime=runc"}
	}
	return f
}

func charliecloud(t *testing.T) flavour {
	t.Helper()
	dir := filepath.Join(place, "image")
	f := flavour{jobdir.Runtime{Type: runtime.Charliecloud}, dir}
	if _, err := os.Stat(dir); err == nil {
		return f
	}
	if err := os.Mkdir(dir, 0o755); err != nil { // an image
		t.Fatal(err)
	}
	unpack := exec.Command("tar", "-C", dir, "-x")
	unpack.Stdin = bytes.NewReader(image.Layer)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack the image: %v: %s", err, out)
	}
	return f
}

// job is one job's directory, and what runs of it.
type job struct {
	*testing.T
	base  jobdir.Base
	token string
	dir   jobdir.Dir
	spec  *jobdir.Spec
	out   bytes.Buffer
	cmd   *exec.Cmd
	env   []string
}

// newJob makes a job's directory as Submit does.
func newJob(t *testing.T, base jobdir.Base, f flavour, pod *corev1.Pod, change ...func(*jobdir.Spec)) *job {
	t.Helper()
	token := fmt.Sprintf("rj-%016x%016x", rand.Uint64(), rand.Uint64())
	pod = pod.DeepCopy()
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].Image = f.image
			// The mark by which what is left behind is found.
			list[i].Env = append(list[i].Env, corev1.EnvVar{Name: "LEFT_BEHIND", Value: token})
		}
	}
	workload.Default(pod)
	j := &job{T: t, base: base, token: token, dir: base.Job(token), spec: &jobdir.Spec{Token: token, Ledger: "l", Backend: "b", Pod: pod, Runtime: f.runtime}}
	for _, c := range change {
		c(j.spec)
	}
	if err := os.Mkdir(string(j.dir), jobdir.DirMode); err != nil {
		t.Fatal(err)
	}
	if err := j.dir.WriteSpec(j.spec); err != nil {
		t.Fatal(err)
	}
	give(t, string(j.dir))
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		if err := os.MkdirAll(base.Volume(pod.Namespace, v.PersistentVolumeClaim.ClaimName), jobdir.DirMode); err != nil {
			t.Fatal(err)
		}
		give(t, filepath.Join(string(base), "volumes"))
	}
	return j
}

// start runs podrunner.
func (j *job) start(env ...string) *job {
	j.Helper()
	j.env = env
	j.cmd = as(program(), "run", "--dir", string(j.dir))
	j.cmd.Env = append(j.cmd.Env, env...)
	// A group of its own, which can be signalled without the test's.
	if j.cmd.SysProcAttr == nil {
		j.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	j.cmd.SysProcAttr.Setpgid = true
	j.cmd.Stdout, j.cmd.Stderr = &j.out, &j.out
	if err := j.cmd.Start(); err != nil {
		j.Fatal(err)
	}
	j.Cleanup(func() {
		_ = j.cmd.Process.Kill()
		_ = j.cmd.Wait()
		j.nothingLeft()
		if j.Failed() {
			j.Logf("podrunner said:\n%s", j.out.String())
		}
	})
	return j
}

const patience = 90 * time.Second

// eventually waits until the condition holds.
func (j *job) eventually(what string, condition func() (bool, string)) {
	j.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, seen := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			j.Fatalf("waited for %s; last seen: %s; podrunner said: %s", what, seen, j.out.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// over waits for podrunner's end.
func (j *job) over() {
	j.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = j.cmd.Wait() // what it ended with is its own to say
	}()
	select {
	case <-done:
	case <-time.After(patience):
		_ = j.cmd.Process.Kill()
		<-done
		j.Fatalf("podrunner did not end: %s", j.out.String())
	}
}

// ended waits for podrunner's end and returns the last state.
func (j *job) ended() *jobdir.State {
	j.Helper()
	j.over()
	state, err := j.dir.ReadState()
	if err != nil {
		j.Fatal(err)
	}
	if !state.Finished {
		j.Errorf("the last state is not final: %+v", state)
	}
	return state
}

func (j *job) run(env ...string) *jobdir.State {
	j.Helper()
	return j.start(env...).ended()
}

func (j *job) status(container string) corev1.ContainerStatus {
	state, err := j.dir.ReadState()
	if err != nil {
		return corev1.ContainerStatus{}
	}
	return statusOf(state, container)
}

func statusOf(state *jobdir.State, container string) corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{state.Decision.InitContainers, state.Decision.Containers} {
		for _, s := range list {
			if s.Name == container {
				return s
			}
		}
	}
	return corev1.ContainerStatus{}
}

// end is how a container ended.
func (j *job) end(state *jobdir.State, container string) corev1.ContainerStateTerminated {
	j.Helper()
	if t := statusOf(state, container).State.Terminated; t != nil {
		return *t
	}
	j.Fatalf("container %s has not ended: %+v", container, statusOf(state, container))
	return corev1.ContainerStateTerminated{}
}

func (j *job) log(container string, change ...func(*sweep.LogRequest)) string {
	j.Helper()
	r := sweep.LogRequest{Dir: j.dir, Container: container}
	for _, c := range change {
		c(&r)
	}
	var b bytes.Buffer
	if err := sweep.Logs(j.Context(), r, &b); err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.Fatal(err)
	}
	return b.String()
}

// untilLogged waits until a container has written the text.
func (j *job) untilLogged(container, text string) {
	j.Helper()
	j.eventually(fmt.Sprintf("%s to write %q", container, text), func() (bool, string) {
		if _, err := j.dir.ReadState(); err != nil {
			return false, err.Error()
		}
		got := j.log(container)
		return strings.Contains(got, text), got
	})
}

func (j *job) signal(s syscall.Signal) {
	j.Helper()
	if err := j.cmd.Process.Signal(s); err != nil {
		j.Fatal(err)
	}
}

// left are the processes of the job, by their environment or their arguments.
func (j *job) left() []string {
	var found []string
	entries, err := os.ReadDir("/proc")
	if err != nil {
		j.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if bytes.Contains(args, []byte(j.token)) || bytes.Contains(env, []byte(j.token)) {
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// nothingLeft checks that no process of the job is there any more, nor its directories on this node.
func (j *job) nothingLeft() {
	j.Helper()
	j.eventually("the job's processes to be gone", func() (bool, string) {
		left := j.left()
		return len(left) == 0, strings.Join(left, "\n")
	})
}

func (j *job) noScratch() {
	j.Helper()
	for _, dir := range []string{"/tmp", "/dev/shm", "/var/tmp"} {
		left, err := filepath.Glob(filepath.Join(dir, "rj-"+j.token[len(j.token)-12:]+"*"))
		if err != nil || len(left) > 0 {
			j.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// pod writes a pod with a container main that runs the shell script.
func pod(script string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container("main", script)}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func container(name, script string) corev1.Container {
	return corev1.Container{Name: name, Command: []string{"sh", "-c", script}}
}

func and(c corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, c) }
}

func first(c corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.InitContainers = append(p.Spec.InitContainers, c) }
}

func restarting(policy corev1.RestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

func grace(seconds int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

func with(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
}

// volume adds a volume and mounts it in all containers that there are so far.
func volume(name, path string, source corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
			}
		}
	}
}

func shared() func(*corev1.Pod) {
	return volume("shared", "/shared", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
}

// eachFlavour runs a test for each runtime that there is.
func eachFlavour(t *testing.T, run func(*testing.T, jobdir.Base, flavour)) {
	t.Helper()
	base := newBase(t)
	for name, f := range flavours(t) {
		t.Run(name, func(t *testing.T) { run(t, base, f) })
	}
}

func asJSON(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
