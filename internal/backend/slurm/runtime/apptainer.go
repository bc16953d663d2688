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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// apptainerRuntime runs containers by Apptainer, or by Singularity, which is its elder sister.
type apptainerRuntime struct {
	Node
	spec jobdir.Runtime
	pod  Pod
}

var _ Runtime = (*apptainerRuntime)(nil)

// runscript is what an image runs by itself, with the arguments that it is given.
const runscript = "/.singularity.d/runscript"

func (r *apptainerRuntime) Prepare(_ context.Context, pod Pod) error {
	r.pod = pod
	return nil
}

func (r *apptainerRuntime) name() string { return strings.ToLower(r.spec.Type) }

// cache is where pulled images are kept, for all jobs of the account.
func (r *apptainerRuntime) cache() string {
	upper := strings.ToUpper(r.spec.Type)
	if dir := r.env(upper + "_CACHEDIR"); dir != "" {
		return filepath.Join(dir, "remotejob")
	}
	return filepath.Join(orElse(r.env("HOME"), r.Scratch), "."+r.name(), "cache", "remotejob")
}

// sifName is the file that an image is kept in.
func sifName(image string) string {
	sum := sha256.Sum256([]byte(image))
	return hex.EncodeToString(sum[:16]) + ".sif"
}

func (r *apptainerRuntime) Image(ctx context.Context, name string, always, never bool) (Image, error) {
	image := Image{Entrypoint: []string{runscript}, Known: true, ID: name}
	scheme, rest := splitScheme(name)
	if scheme == "" || scheme == "file" || scheme == "dir" {
		if _, err := os.Stat(rest); err != nil {
			return image, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("the image %s is not on this node, and its name has no scheme such as docker://: %v", name, err)}
		}
		image.Reference = rest
		return image, nil
	}
	image.Reference = filepath.Join(r.cache(), sifName(name))
	_, err := os.Stat(image.Reference)
	if err == nil && !always {
		return image, nil
	}
	if never {
		return image, &ImageError{Reason: ReasonErrImageNeverPull, Words: fmt.Sprintf("the image %s was not pulled before, and imagePullPolicy is Never", name)}
	}
	if err := os.MkdirAll(r.cache(), jobdir.DirMode); err != nil {
		return image, fmt.Errorf("pull the image %s: %w", name, err)
	}
	program, err := r.program(r.spec, r.name())
	if err != nil {
		return image, &ImageError{Reason: ReasonErrImagePull, Words: err.Error()}
	}
	temp := filepath.Join(r.cache(), "."+filepath.Base(r.Scratch)+"-"+sifName(name))
	defer func() { _ = os.Remove(temp) }()
	err = each(r.Credentials, func(credentials Credentials) error {
		result, err := r.Table.Run(ctx, proc.Command{
			Path: program, Args: []string{program, "pull", "--force", temp, name}, Dir: "/",
			Env: append(slices.Clone(r.Env), apptainerLogin(r.spec.Type, credentials, rest)...),
		}, nil)
		if err != nil {
			return fmt.Errorf("pull the image %s: %w", name, err)
		}
		if result.Status.ExitStatus() != 0 {
			return &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("pull the image %s: %s", name, result.Words())}
		}
		return nil
	})
	if err != nil {
		return image, err
	}
	if err := os.Rename(temp, image.Reference); err != nil {
		return image, fmt.Errorf("pull the image %s: %w", name, err)
	}
	return image, nil
}

// apptainerLogin are the variables by which credentials are given.
func apptainerLogin(runtimeType string, credentials Credentials, image string) []string {
	user, password := credentials.login(registryHost(registryName(image)))
	if user == "" && password == "" {
		return nil
	}
	upper := strings.ToUpper(runtimeType)
	return []string{upper + "_DOCKER_USERNAME=" + user, upper + "_DOCKER_PASSWORD=" + password}
}

func (r *apptainerRuntime) Start(_ context.Context, c Container) (*Running, error) {
	program, err := r.program(r.spec, r.name())
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, "work"), 0o700); err != nil {
		return nil, err
	}
	args, err := apptainerArgs(&r.Node, &r.pod, &c, program, r.spec.Options)
	if err != nil {
		return nil, err
	}
	path, err := r.find(args[0])
	if err != nil {
		return nil, err
	}
	return r.launch(proc.Command{Path: path, Args: args, Env: r.Env, Dir: "/"})
}

// apptainerArgs are the arguments that run the agent in a new container.
func apptainerArgs(n *Node, pod *Pod, c *Container, program string, options []string) ([]string, error) {
	args := append(slices.Clone(c.CommandPrefix), program, "exec", "--containall", "--workdir", filepath.Join(c.Dir, "work"), "--pwd", "/")
	if pod.Hostname != "" {
		args = append(args, "--hostname", pod.Hostname)
	}
	for _, m := range n.allMounts(c) {
		if strings.ContainsAny(m.Source+m.Target, ":,\\") {
			return nil, fmt.Errorf("mount at %s: a path with a colon, a comma or a backslash can't be told to %s", m.Target, filepath.Base(program))
		}
		bind := m.Source + ":" + m.Target
		if m.ReadOnly {
			bind += ":ro"
		}
		args = append(args, "--bind", bind)
	}
	if c.Devices.Nvidia {
		args = append(args, "--nv")
	}
	if c.Devices.AMD {
		args = append(args, "--rocm")
	}
	for _, option := range options {
		if option != "--containall" && option != "-C" {
			args = append(args, option)
		}
	}
	args = append(args, bindOptions(c.ExtraMounts, "--bind")...)
	args = append(args, c.ExtraOptions...)
	args = append(args, c.Image.Reference)
	return append(args, agentCommand(pod.Token)...), nil
}

// bindOptions are the words of an annotation for mounts: whole options, or what goes with one.
func bindOptions(words []string, option string) []string {
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		return words
	}
	var args []string
	for _, word := range words {
		args = append(args, option, word)
	}
	return args
}

func (r *apptainerRuntime) Killed(context.Context, Container) bool  { return false }
func (r *apptainerRuntime) Remove(context.Context, Container) error { return nil }
func (r *apptainerRuntime) Close(context.Context) error             { return nil }
func (r *apptainerRuntime) Limits() bool                            { return false }
