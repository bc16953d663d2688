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
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
)

// charliecloudRuntime runs containers by ch-run. It mounts only onto what an image has, and the image is shared and not to be written;
// hence the scene: a copy of the image's tree in which everything has its place and changes are the container's own.
type charliecloudRuntime struct {
	Node
	spec jobdir.Runtime
	pod  Pod
}

var _ Runtime = (*charliecloudRuntime)(nil)

func (r *charliecloudRuntime) Prepare(_ context.Context, pod Pod) error {
	r.pod = pod
	return nil
}

// storage is where ch-image keeps images.
func (r *charliecloudRuntime) storage() string {
	if dir := r.env("CH_IMAGE_STORAGE"); dir != "" {
		return dir
	}
	return filepath.Join("/var/tmp", userName(r.Env)+".ch") //nolint:gocritic // the root is a path of its own
}

// userName is the name of who runs the job: ch-run does not start without one.
func userName(env []string) string {
	for _, name := range []string{"USER", "LOGNAME", "SLURM_JOB_USER"} {
		if value := lookup(env, name); value != "" {
			return value
		}
	}
	return fmt.Sprint(os.Geteuid())
}

// chImagePath is the directory of an image in ch-image's storage.
func chImagePath(storage, name string) string {
	last := name[strings.LastIndexByte(name, '/')+1:]
	if !strings.ContainsAny(last, ":@") {
		name += ":latest"
	}
	return filepath.Join(storage, "img", strings.NewReplacer("/", "%", ":", "+").Replace(name))
}

func (r *charliecloudRuntime) Image(ctx context.Context, name string, always, never bool) (Image, error) {
	scheme, rest := splitScheme(name)
	if scheme == "file" || scheme == "dir" || scheme == "" && strings.HasPrefix(rest, "/") {
		if _, err := os.Stat(rest); err != nil {
			return Image{}, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("the image %s is not on this node: %v", name, err)}
		}
		return Image{Reference: rest, ID: rest}, nil
	}
	if scheme != "" && scheme != "docker" {
		return Image{}, &ImageError{Reason: ReasonInvalidImageName, Words: fmt.Sprintf("%s: Charliecloud takes directories, SquashFS files and images of registries", name)}
	}
	path := chImagePath(r.storage(), rest)
	_, err := os.Stat(path)
	if err == nil && !always {
		return Image{Reference: path, ID: rest}, nil
	}
	if never {
		return Image{}, &ImageError{Reason: ReasonErrImageNeverPull, Words: fmt.Sprintf("the image %s is not in %s, and imagePullPolicy is Never", name, r.storage())}
	}
	program, err := r.find("ch-image")
	if err != nil {
		return Image{}, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("the image %s is not in %s: %v", name, r.storage(), err)}
	}
	result, err := r.Table.Run(ctx, proc.Command{Path: program, Args: []string{program, "pull", "--", rest}, Env: r.Env, Dir: "/"}, nil)
	if err != nil {
		return Image{}, fmt.Errorf("pull the image %s: %w", name, err)
	}
	if result.Status.ExitStatus() != 0 {
		return Image{}, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("pull the image %s: %s", name, result.Words())}
	}
	return Image{Reference: path, ID: rest}, nil
}

func (r *charliecloudRuntime) Start(_ context.Context, c Container) (*Running, error) {
	program, err := r.program(r.spec, "ch-run")
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"tmp", "image", "scratch", "root"} {
		mode := os.FileMode(0o700)
		if dir == "tmp" {
			mode = 0o777 | os.ModeSticky
		}
		path := filepath.Join(c.Dir, dir)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	if !r.Spaces.Mounts {
		return nil, fmt.Errorf("this node lets users have no namespaces of their own, which Charliecloud needs")
	}
	info, err := os.Stat(c.Image.Reference)
	if err != nil {
		return nil, fmt.Errorf("look at the image: %w", err)
	}
	spaces := r.Spaces
	spaces.Processes = spaces.Processes && !r.pod.ShareProcesses
	scene, err := charliecloudScene(&r.Node, &r.pod, &c, spaces, program, r.spec.Options, info.IsDir(), userName(r.Env))
	if err != nil {
		return nil, err
	}
	// Places in /tmp are made beforehand, so that what it holds stays on the node's disk.
	for _, m := range scene.Mounts {
		if !strings.HasPrefix(m.Target, filepath.Join(c.Dir, "tmp")+"/") {
			continue
		}
		if err := makePlace(m); err != nil {
			return nil, err
		}
	}
	return r.staged(scene, spaces)
}

// makePlace makes a mount's target.
func makePlace(m stage.Mount) error {
	if !m.File {
		return os.MkdirAll(m.Target, 0o755) //nolint:gosec // as a container runtime makes it
	}
	if err := os.MkdirAll(filepath.Dir(m.Target), 0o755); err != nil { //nolint:gosec // as above
		return err
	}
	f, err := os.OpenFile(m.Target, os.O_WRONLY|os.O_CREATE, 0o666) //nolint:gosec // as above
	if err != nil {
		return err
	}
	return f.Close()
}

// charliecloudScene is the scene for a container from an image that is a directory, or a SquashFS file, which ch-run mounts itself: mount
// points are then those that it has.
func charliecloudScene(n *Node, pod *Pod, c *Container, spaces stage.Spaces, program string, options []string, directory bool, user string) (stage.Config, error) {
	scene := stage.Config{
		Root: filepath.Join(c.Dir, "root"), Hostname: pod.Hostname, OwnProcesses: spaces.Processes, Path: program, Dir: "/",
		// The container's own variables come by the agent; these are for ch-run, which passes them on.
		Env: []string{"USER=" + user, "HOME=" + orElse(lookup(n.Env, "HOME"), "/"), "PATH=" + defaultPath, "TMPDIR=" + filepath.Join(c.Dir, "tmp")},
	}
	image := c.Image.Reference
	var inImage []stage.Mount
	for _, m := range n.allMounts(c) {
		// What ch-run shows of the node is arranged on the node's side, where the container's view comes from.
		switch rest, inTmp := strings.CutPrefix(m.Target+"/", "/tmp/"); {
		case hostSide(m.Target):
			scene.Mounts = append(scene.Mounts, m)
		case inTmp:
			m.Target = filepath.Join(c.Dir, "tmp", rest)
			scene.Mounts = append(scene.Mounts, m)
		default:
			inImage = append(inImage, m)
		}
	}
	args := []string{program}
	if directory {
		scene.Image, scene.ImageAt, scene.ImageScratch = image, filepath.Join(c.Dir, "image"), filepath.Join(c.Dir, "scratch")
		scene.ImageMounts = append(imagePlaces(), inImage...)
		image = scene.ImageAt
		if !c.ReadOnlyRoot {
			args = append(args, "--write")
		}
	} else {
		for _, m := range inImage {
			if strings.Contains(m.Source, ":") || strings.Contains(m.Target, ":") {
				return scene, fmt.Errorf("mount at %s: ch-run takes no path with a colon", m.Target)
			}
			args = append(args, "--bind", m.Source+":"+m.Target)
		}
	}
	args = append(args, "--cd", "/")
	args = append(args, options...)
	args = append(args, c.ExtraOptions...)
	args = append(args, image, "--")
	scene.Args = slices.Concat(args, agentCommand(pod.Token))
	return scene, nil
}

// hostSide tells whether a place in a container is one that ch-run shows of the node's own.
func hostSide(target string) bool {
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if target == dir || strings.HasPrefix(target, dir+"/") {
			return true
		}
	}
	return target == "/etc/hosts" || target == "/etc/resolv.conf"
}

// imagePlaces are those that ch-run needs in an image, and that not every image has.
func imagePlaces() []stage.Mount {
	var places []stage.Mount
	for _, dir := range []string{"/dev", "/proc", "/sys", "/tmp", "/etc"} {
		places = append(places, stage.Mount{Target: dir})
	}
	for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf"} {
		places = append(places, stage.Mount{Target: file, File: true})
	}
	return places
}

// defaultPath is where runtimes look for their own helpers.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (r *charliecloudRuntime) Killed(context.Context, Container) bool  { return false }
func (r *charliecloudRuntime) Remove(context.Context, Container) error { return nil }
func (r *charliecloudRuntime) Close(context.Context) error             { return nil }
func (r *charliecloudRuntime) Limits() bool                            { return false }
