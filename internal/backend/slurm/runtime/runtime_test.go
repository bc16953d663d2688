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

package runtime

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

var (
	testNode = &Node{Self: "/base/bin/podrunner", Scratch: "/tmp/rj", Env: []string{"HOME=/home/u", "PATH=/bin"}}
	testPod  = &Pod{Token: "rj-0123456789abcdef", Hostname: "web-0"}
)

func testContainer(change ...func(*Container)) *Container {
	c := &Container{Name: "rj-0123456789abcdef-main-0", Dir: "/tmp/rj/c/1", Image: Image{Reference: "IMAGE"}}
	for _, f := range change {
		f(c)
	}
	return c
}

// agentArgs are the last arguments of every runtime's call.
const agentArgs = " /.remotejob/podrunner agent --token=rj-0123456789abcdef /.remotejob/socket"

func mounts(list ...stage.Mount) func(*Container) {
	return func(c *Container) { c.Mounts = list }
}

func TestApptainersArguments(t *testing.T) {
	const begin, own = "apptainer exec --containall --workdir /tmp/rj/c/1/work --pwd / --hostname web-0", " --bind /tmp/rj/c/1/agent:/.remotejob --bind /base/bin/podrunner:/.remotejob/podrunner:ro"
	for name, c := range map[string]struct {
		container *Container
		options   []string
		want      string
	}{
		"as it is":      {testContainer(), nil, begin + own + " IMAGE" + agentArgs},
		"with a volume": {testContainer(mounts(stage.Mount{Source: "/v", Target: "/data"}, stage.Mount{Source: "/f", Target: "/data/x/y", ReadOnly: true, File: true})), nil, begin + " --bind /v:/data --bind /tmp/rj/c/1/agent:/.remotejob --bind /base/bin/podrunner:/.remotejob/podrunner:ro --bind /f:/data/x/y:ro IMAGE" + agentArgs},
		"on NVIDIA":     {testContainer(func(c *Container) { c.Devices.Nvidia = true }), nil, begin + own + " --nv IMAGE" + agentArgs},
		"on AMD":        {testContainer(func(c *Container) { c.Devices.AMD = true }), nil, begin + own + " --rocm IMAGE" + agentArgs},
		"with options":  {testContainer(), []string{"--containall", "--writable-tmpfs", "-C"}, begin + own + " --writable-tmpfs IMAGE" + agentArgs},
		"with the pod's own words": {testContainer(func(c *Container) {
			c.ExtraMounts, c.ExtraOptions, c.CommandPrefix = []string{"/cvmfs:/cvmfs", "/a:/b:ro"}, []string{"--fakeroot"}, []string{"nice", "-n", "5"}
		}), nil, "nice -n 5 " + begin + own + " --bind /cvmfs:/cvmfs --bind /a:/b:ro --fakeroot IMAGE" + agentArgs},
		"with mounts that are options": {testContainer(func(c *Container) { c.ExtraMounts = []string{"--bind", "/a"} }), nil, begin + own + " --bind /a IMAGE" + agentArgs},
	} {
		got, err := apptainerArgs(testNode, testPod, c.container, "apptainer", c.options)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", name, strings.Join(got, " "), err, c.want)
		}
	}
	for _, bad := range []string{"/a:b", "/a,b", `/a\b`} {
		if got, err := apptainerArgs(testNode, testPod, testContainer(mounts(stage.Mount{Source: bad, Target: "/x"})), "apptainer", nil); err == nil {
			t.Errorf("%q passed: %v", bad, got)
		}
	}
}

func TestEnrootsArguments(t *testing.T) {
	const own = " --mount /tmp/rj/c/1/agent:/.remotejob:none:x-create=dir,rbind --mount /base/bin/podrunner:/.remotejob/podrunner:none:x-create=file,rbind,ro"
	for name, c := range map[string]struct {
		container *Container
		options   []string
		want      string
	}{
		"as it is":                 {testContainer(), nil, "enroot start --rc /rc --rw" + own + " -- IMAGE"},
		"with a read-only root":    {testContainer(func(c *Container) { c.ReadOnlyRoot = true }), nil, "enroot start --rc /rc" + own + " -- IMAGE"},
		"with a volume":            {testContainer(mounts(stage.Mount{Source: "/v", Target: "/d", ReadOnly: true})), nil, "enroot start --rc /rc --rw --mount /v:/d:none:x-create=dir,rbind,ro" + own + " -- IMAGE"},
		"with options":             {testContainer(), []string{"--root"}, "enroot start --rc /rc --rw" + own + " --root -- IMAGE"},
		"with the pod's own words": {testContainer(func(c *Container) { c.ExtraMounts, c.ExtraOptions = []string{"/a:/b"}, []string{"--env", "X"} }), nil, "enroot start --rc /rc --rw" + own + " --mount /a:/b --env X -- IMAGE"},
	} {
		got, err := enrootArgs(testNode, c.container, "enroot", "/rc", c.options)
		want := c.want
		if name == "with a volume" {
			want = "enroot start --rc /rc --rw --mount /v:/d:none:x-create=dir,rbind,ro" + own + " -- IMAGE"
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", name, strings.Join(got, " "), err, want)
		}
	}
	for _, bad := range []string{"/a:b", "/a b", "/$HOME", "/a\tb"} {
		if got, err := enrootArgs(testNode, testContainer(mounts(stage.Mount{Source: bad, Target: "/x"})), "enroot", "/rc", nil); err == nil {
			t.Errorf("%q passed: %v", bad, got)
		}
	}
}

func TestPodmansArguments(t *testing.T) {
	run := func(limits bool, network string, options []string, change ...func(*Container)) []string {
		t.Helper()
		got, err := podmanRunArgs(testNode, testPod, testContainer(change...), network, limits, options)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(strings.Join(got, " "), "--entrypoint=/.remotejob/podrunner IMAGE agent --token=rj-0123456789abcdef /.remotejob/socket") {
			t.Errorf("it runs %v", got)
		}
		return got
	}
	big := func(c *Container) { c.MemoryBytes, c.CPUMillis = 64<<20, 1500 }
	for name, c := range map[string]struct {
		got         []string
		want, never []string
	}{
		"a plain one":           {run(false, "none", nil, big), []string{"--network=container:rj-0123456789abcdef", "--ipc=container:rj-0123456789abcdef", "--pull=never"}, []string{"--memory=67108864", "--privileged"}},
		"one with limits":       {run(true, "none", nil, big), []string{"--memory=67108864", "--memory-swap=67108864", "--cpus=1.500"}, nil},
		"on the node's network": {run(false, "host", nil), []string{"--network=host"}, []string{"--network=container:rj-0123456789abcdef"}},
		"with options":          {run(false, "none", []string{"--annotation=x"}), []string{"--annotation=x"}, nil},
		"with a volume":         {run(false, "none", nil, mounts(stage.Mount{Source: "/v", Target: "/d"}, stage.Mount{Source: "/f", Target: "/e", ReadOnly: true})), []string{"--volume=/v:/d:rw,rprivate,rbind", "--volume=/f:/e:ro,rprivate,rbind"}, nil},
		"on NVIDIA":             {run(false, "none", nil, func(c *Container) { c.Devices.Nvidia = true }), []string{"--device=nvidia.com/gpu=all"}, nil},
		"on AMD":                {run(false, "none", nil, func(c *Container) { c.Devices.AMD = true }), []string{"--device=/dev/kfd", "--device=/dev/dri"}, nil},
		"as a user":             {run(false, "none", nil, func(c *Container) { c.User, c.Groups = "1000:2000", []int64{3000} }), []string{"--user=1000:2000", "--group-add=3000"}, nil},
		"with rights": {run(false, "none", nil, func(c *Container) {
			c.CapDrop, c.CapAdd, c.NoNewPrivs, c.Unconfined = []string{"ALL"}, []string{"CHOWN"}, true, true
		}), []string{"--cap-drop=ALL", "--cap-add=CHOWN", "--security-opt=no-new-privileges", "--security-opt=seccomp=unconfined"}, nil},
		"privileged":            {run(false, "none", nil, func(c *Container) { c.Privileged, c.CapDrop = true, []string{"ALL"} }), []string{"--privileged"}, []string{"--cap-drop=ALL"}},
		"with a read-only root": {run(false, "none", nil, func(c *Container) { c.ReadOnlyRoot = true }), []string{"--read-only", "--read-only-tmpfs=false"}, nil},
	} {
		for _, want := range c.want {
			if !slices.Contains(c.got, want) {
				t.Errorf("%s: %v lacks %s", name, c.got, want)
			}
		}
		for _, never := range c.never {
			if slices.Contains(c.got, never) {
				t.Errorf("%s: %v holds %s", name, c.got, never)
			}
		}
	}
	if got, err := podmanRunArgs(testNode, testPod, testContainer(mounts(stage.Mount{Source: "/a:b", Target: "/x"})), "none", false, nil); err == nil {
		t.Errorf("a colon passed: %v", got)
	}
}

func TestThePodsOwnContainerByPodman(t *testing.T) {
	pod := &Pod{Token: "T", Hostname: "h", Hosts: []Host{{IP: "10.1.2.3", Names: []string{"a", "b"}}}, DNSServers: []string{"9.9.9.9"}, DNSSearches: []string{"x"}, DNSOptions: []string{"ndots:2"}}
	for network, want := range map[string]string{
		"":     "--add-host=a:10.1.2.3 --add-host=b:10.1.2.3 --dns=9.9.9.9 --dns-search=x --dns-option=ndots:2 --volume=/i:/.remotejob:rw,rprivate,rbind --rootfs /root",
		"none": "--network=none --hostname=h --add-host=a:10.1.2.3 --add-host=b:10.1.2.3 --volume=/i:/.remotejob:rw,rprivate,rbind --rootfs /root",
	} {
		if got := strings.Join(podmanInfraArgs(pod, "/root", "/i", network), " "); !strings.Contains(got, want) || !strings.HasSuffix(got, "/podrunner agent --token=T /.remotejob/socket") {
			t.Errorf("%q: got %s", network, got)
		}
	}
}

func TestPodmansOptionsAreParted(t *testing.T) {
	globals, network, rest := splitPodmanOptions([]string{"--runtime=runc", "--network", "host", "--storage-driver", "vfs", "--device=/dev/x", "--syslog", "--userns=keep-id"})
	if strings.Join(globals, " ") != "--runtime=runc --storage-driver=vfs --syslog" || network != "host" || strings.Join(rest, " ") != "--device=/dev/x --userns=keep-id" {
		t.Errorf("got %v, %q, %v", globals, network, rest)
	}
	for name, c := range map[string]struct {
		store   podmanStore
		globals []string
		want    string
	}{
		"the account's": {podmanStore{}, nil, "podman --log-level=error --cgroup-manager=cgroupfs --events-backend=none"},
		"the pod's":     {podmanStore{Dir: "/d", Images: "/i", Driver: "overlay"}, []string{"--runtime=runc"}, "podman --log-level=error --cgroup-manager=cgroupfs --events-backend=none --root=/d/s --runroot=/d/r --tmpdir=/d/t --storage-driver=overlay --storage-opt=additionalimagestore=/i --runtime=runc"},
		"by vfs":        {podmanStore{Dir: "/d", Images: "/i", Driver: "vfs"}, nil, "podman --log-level=error --cgroup-manager=cgroupfs --events-backend=none --root=/d/s --runroot=/d/r --tmpdir=/d/t --storage-driver=vfs --storage-opt=vfs.imagestore=/i"},
		"the site's":    {podmanStore{Dir: "/d", Images: "/i"}, []string{"--root=/site"}, "podman --log-level=error --cgroup-manager=cgroupfs --events-backend=none --root=/site"},
	} {
		if got := strings.Join(podmanCommand("podman", c.store, c.globals), " "); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestCharliecloudsScene(t *testing.T) {
	c := testContainer(mounts(
		stage.Mount{Source: "/v", Target: "/data"}, stage.Mount{Source: "/m", Target: "/dev/termination-log", File: true},
		stage.Mount{Source: "/h", Target: "/etc/hosts", File: true}, stage.Mount{Source: "/t", Target: "/tmp/x"}))
	scene, err := charliecloudScene(testNode, testPod, c, stage.Spaces{Mounts: true, Processes: true}, "ch-run", []string{"--home"}, true, "u")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(scene.Args, " "); got != "ch-run --write --cd / --home /tmp/rj/c/1/image --"+agentArgs {
		t.Errorf("got %s", got)
	}
	targets := func(list []stage.Mount) string {
		var out []string
		for _, m := range list {
			if m.Source != "" {
				out = append(out, m.Target)
			}
		}
		return strings.Join(out, " ")
	}
	if got := targets(scene.Mounts); got != "/dev/termination-log /etc/hosts /tmp/rj/c/1/tmp/x" {
		t.Errorf("on the node's side: %s", got)
	}
	if got := targets(scene.ImageMounts); got != "/data /.remotejob /.remotejob/podrunner" {
		t.Errorf("in the image: %s", got)
	}
	if scene.Hostname != "web-0" || !scene.OwnProcesses || !slices.Contains(scene.Env, "USER=u") {
		t.Errorf("got %+v", scene)
	}
	squash, err := charliecloudScene(testNode, testPod, testContainer(), stage.Spaces{}, "ch-run", nil, false, "u")
	if want := "ch-run --bind /tmp/rj/c/1/agent:/.remotejob --bind /base/bin/podrunner:/.remotejob/podrunner --cd / IMAGE --" + agentArgs; err != nil || strings.Join(squash.Args, " ") != want {
		t.Errorf("got %v, %v", squash.Args, err)
	}
}

func TestImagesAreNamed(t *testing.T) {
	for _, c := range []struct{ image, root, prefix, want string }{
		{"busybox", "", "docker://", "docker://busybox"}, {"docker://busybox", "", "oras://", "docker://busybox"}, {"/images/a.sif", "", "docker://", "/images/a.sif"},
		{"a.sif", "/images/", "docker://", "/images/a.sif"}, {"busybox", "docker://", "", "docker://busybox"}, {"library://x/y:1", "", "docker://", "library://x/y:1"},
		{"host:5000/a", "", "docker://", "docker://host:5000/a"}, {"oci-archive:/a.tar", "", "docker://", "oci-archive:/a.tar"}, {"a:tag", "", "", "a:tag"},
	} {
		if got := FullName(c.image, c.root, c.prefix); got != c.want {
			t.Errorf("%+v is %s", c, got)
		}
	}
	for name, want := range map[string]string{
		"busybox": "docker.io/library/busybox:latest", "a/b:1": "docker.io/a/b:1", "host:5000/a": "host:5000/a:latest", "localhost/a:x": "localhost/a:x",
		"quay.io/a/b@sha256:00": "quay.io/a/b@sha256:00", "busybox@sha256:00": "docker.io/library/busybox@sha256:00",
	} {
		if got := registryName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{"busybox": "docker://library/busybox:latest", "nvcr.io/a/b:1": "docker://$u@nvcr.io#a/b:1"} {
		user := ""
		if strings.HasPrefix(name, "nvcr") {
			user = "$u"
		}
		if got := enrootURI(name, user); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := chImagePath("/s", "host:5000/a/b"); got != "/s/img/host+5000%a%b+latest" {
		t.Errorf("got %s", got)
	}
}

func TestEachLoginOfAPodIsTried(t *testing.T) {
	sets := CredentialsOf([]workload.FileData{
		{".dockerconfigjson": []byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnc="},"quay.io":{"username":"a","password":"b"}}}`)},
		{".dockercfg": []byte(`{"quay.io":{"username":"x","password":"y"},"other.example/v2/":{"username":"o","password":"p"}}`)},
		{".dockerconfigjson": []byte(`no json`)},
	})
	if len(sets) != 2 {
		t.Fatalf("got %d sets: %s", len(sets), sets)
	}
	for i, want := range []map[string]string{
		{"docker.io": "u p:w", "quay.io": "a b", "other.example": "o p", "nowhere": " "},
		{"docker.io": " ", "quay.io": "x y"},
	} {
		for registry, login := range want {
			if user, password := sets[i].login(registry); user+" "+password != login {
				t.Errorf("%s in set %d: got %q %q", registry, i, user, password)
			}
		}
	}
	if sets := CredentialsOf(nil); sets != nil {
		t.Errorf("nothing gives credentials: %s", sets)
	}
	c := sets[0]
	if got := apptainerLogin(Apptainer, c, "quay.io/a/b"); strings.Join(got, " ") != "APPTAINER_DOCKER_USERNAME=a APPTAINER_DOCKER_PASSWORD=b" {
		t.Errorf("got %v", got)
	}
}

func TestEveryRuntimeDeclaresItsAbilities(t *testing.T) {
	for _, name := range Types {
		features := Features(name)
		for _, f := range everywhere {
			if !features[f] {
				t.Errorf("%s lacks %s", name, f)
			}
		}
		for _, f := range known(name) {
			if !slices.Contains(workload.AllFeatures, f) {
				t.Errorf("%s has %s, which is no feature", name, f)
			}
		}
		if _, err := New(jobdir.Runtime{Type: name}, *testNode); err != nil {
			t.Error(err)
		}
	}
	if Features("Docker") != nil {
		t.Error("a runtime that is not known has abilities")
	}
	if _, err := New(jobdir.Runtime{Type: "x"}, *testNode); err == nil {
		t.Error("a runtime that is not known was made")
	}
}

func TestPullsGoOnToTheNextCredentialsWhileARegistryRefuses(t *testing.T) {
	one, two := Credentials("1"), Credentials("2")
	refused, broken := &ImageError{Reason: ReasonErrImagePull, Words: "unauthorized"}, errors.New("killed")
	for name, c := range map[string]struct {
		sets    []Credentials
		answers map[string]error
		asked   string
		want    error
	}{
		"none":                   {answers: map[string]error{"": nil}, asked: "-"},
		"none, and it is needed": {answers: map[string]error{"": refused}, asked: "-", want: refused},
		"the first will do":      {sets: []Credentials{one, two}, asked: "-1"},
		"the second will do":     {sets: []Credentials{one, two}, answers: map[string]error{"1": refused}, asked: "-1-2"},
		"none will do":           {sets: []Credentials{one, two}, answers: map[string]error{"1": refused, "2": refused}, asked: "-1-2", want: refused},
		"it is no refusal":       {sets: []Credentials{one, two}, answers: map[string]error{"1": broken}, asked: "-1", want: broken},
	} {
		asked := ""
		err := each(c.sets, func(credentials Credentials) error {
			asked += "-" + string(credentials)
			return c.answers[string(credentials)]
		})
		if asked != c.asked || !errors.Is(err, c.want) {
			t.Errorf("%s: asked %s, %v", name, asked, err)
		}
	}
}
