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

// enrootRuntime runs containers by Enroot, straight from images.
type enrootRuntime struct {
	Node
	spec jobdir.Runtime
	pod  Pod
}

var _ Runtime = (*enrootRuntime)(nil)

func (r *enrootRuntime) Prepare(_ context.Context, pod Pod) error {
	r.pod = pod
	return nil
}

func (r *enrootRuntime) cache() string {
	if dir := r.env("ENROOT_CACHE_PATH"); dir != "" {
		return filepath.Join(dir, "remotejob")
	}
	return filepath.Join(orElse(r.env("HOME"), r.Scratch), ".cache", "enroot", "remotejob")
}

// enrootURI is an image's name as Enroot writes it: the registry apart from the image by a #.
func enrootURI(name, user string) string {
	full := registryName(name)
	host, image, _ := strings.Cut(full, "/")
	uri := "docker://"
	if user != "" {
		uri += user + "@"
	}
	if host == "docker.io" {
		return uri + image
	}
	return uri + host + "#" + image
}

func (r *enrootRuntime) Image(ctx context.Context, name string, always, never bool) (Image, error) {
	scheme, rest := splitScheme(name)
	if scheme == "file" || scheme == "" && (strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "./")) {
		if _, err := os.Stat(rest); err != nil {
			return Image{}, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("the image %s is not on this node: %v", name, err)}
		}
		return Image{Reference: rest, ID: rest}, nil
	}
	if scheme != "" && scheme != "docker" {
		return Image{}, &ImageError{Reason: ReasonInvalidImageName, Words: fmt.Sprintf("%s: Enroot takes SquashFS files and images of registries", name)}
	}
	sum := sha256.Sum256([]byte(registryName(rest)))
	image := Image{Reference: filepath.Join(r.cache(), hex.EncodeToString(sum[:16])+".sqsh"), ID: registryName(rest)}
	if _, err := os.Stat(image.Reference); err == nil && !always {
		return image, nil
	}
	if never {
		return image, &ImageError{Reason: ReasonErrImageNeverPull, Words: fmt.Sprintf("the image %s was not imported before, and imagePullPolicy is Never", name)}
	}
	program, err := r.program(r.spec, "enroot")
	if err != nil {
		return image, &ImageError{Reason: ReasonErrImagePull, Words: err.Error()}
	}
	if err := os.MkdirAll(r.cache(), jobdir.DirMode); err != nil {
		return image, fmt.Errorf("import the image %s: %w", name, err)
	}
	temp := filepath.Join(r.cache(), "."+filepath.Base(r.Scratch)+"-"+filepath.Base(image.Reference))
	defer func() { _ = os.Remove(temp) }()
	err = each(r.Credentials, func(credentials Credentials) error {
		user, env, err := r.login(credentials, registryHost(registryName(rest)))
		if err != nil {
			return err
		}
		result, err := r.Table.Run(ctx, proc.Command{
			Path: program, Args: []string{program, "import", "--output", temp, "--", enrootURI(rest, user)}, Env: append(slices.Clone(r.Env), env...), Dir: "/",
		}, nil)
		if err != nil {
			return fmt.Errorf("import the image %s: %w", name, err)
		}
		if result.Status.ExitStatus() != 0 {
			return &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("import the image %s: %s", name, result.Words())}
		}
		return nil
	})
	if err != nil {
		return image, err
	}
	if err := os.Rename(temp, image.Reference); err != nil {
		return image, fmt.Errorf("import the image %s: %w", name, err)
	}
	return image, nil
}

// login gives Enroot the credentials for a registry, by a file in the way of netrc.
func (r *enrootRuntime) login(credentials Credentials, registry string) (user string, env []string, err error) {
	user, password := credentials.login(registry)
	if user == "" {
		return "", nil, nil
	}
	machine := registry
	if registry == "docker.io" {
		machine = "auth.docker.io"
	}
	if strings.ContainsAny(user+password, " \t\n") {
		return "", nil, &ImageError{Reason: ReasonErrImagePull, Words: "a user name or a password with blanks can't be told to Enroot"}
	}
	dir := filepath.Join(r.Scratch, "enroot")
	if err := os.MkdirAll(dir, jobdir.DirMode); err != nil {
		return "", nil, fmt.Errorf("write Enroot's credentials: %w", err)
	}
	line := fmt.Sprintf("machine %s login %s password %s\n", machine, user, password)
	if err := os.WriteFile(filepath.Join(dir, ".credentials"), []byte(line), jobdir.FileMode); err != nil {
		return "", nil, fmt.Errorf("write Enroot's credentials: %w", err)
	}
	return user, []string{"ENROOT_CONFIG_PATH=" + dir}, nil
}

func (r *enrootRuntime) Start(_ context.Context, c Container) (*Running, error) {
	program, err := r.program(r.spec, "enroot")
	if err != nil {
		return nil, err
	}
	// The image's own command script would go before the agent.
	script := filepath.Join(c.Dir, "rc")
	if err := os.WriteFile(script, []byte("exec "+strings.Join(agentCommand(r.pod.Token), " ")+"\n"), 0o700); err != nil { //nolint:gosec // a script
		return nil, err
	}
	args, err := enrootArgs(&r.Node, &c, program, script, r.spec.Options)
	if err != nil {
		return nil, err
	}
	env := slices.Clone(r.Env)
	if c.Devices.Nvidia {
		env = append(env, "NVIDIA_VISIBLE_DEVICES="+orElse(r.env("NVIDIA_VISIBLE_DEVICES"), "all"))
	}
	return r.launch(proc.Command{Path: program, Args: args, Env: env, Dir: "/"})
}

// enrootArgs are the arguments that run the agent in a new container.
func enrootArgs(n *Node, c *Container, program, script string, options []string) ([]string, error) {
	args := []string{program, "start", "--rc", script}
	if !c.ReadOnlyRoot {
		args = append(args, "--rw")
	}
	for _, m := range n.allMounts(c) {
		if strings.ContainsAny(m.Source+m.Target, ": \t\\$") {
			return nil, fmt.Errorf("mount at %s: a path with a colon, a blank, a backslash or a dollar sign can't be told to Enroot", m.Target)
		}
		create := "dir"
		if m.File {
			create = "file"
		}
		flags := "x-create=" + create + ",rbind"
		if m.ReadOnly {
			flags += ",ro"
		}
		args = append(args, "--mount", m.Source+":"+m.Target+":none:"+flags)
	}
	args = append(args, options...)
	args = append(args, bindOptions(c.ExtraMounts, "--mount")...)
	args = append(args, c.ExtraOptions...)
	return append(args, "--", c.Image.Reference), nil
}

func (r *enrootRuntime) Killed(context.Context, Container) bool  { return false }
func (r *enrootRuntime) Remove(context.Context, Container) error { return nil }
func (r *enrootRuntime) Close(context.Context) error             { return nil }
func (r *enrootRuntime) Limits() bool                            { return false }
