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

package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main reads a Config from ConfigFD, sets the scene and becomes the program. It returns only where that failed.
func Main(stderr io.Writer) int {
	const exitFailed = 126
	file := os.NewFile(ConfigFD, "config")
	var c Config
	err := json.NewDecoder(file).Decode(&c)
	_ = file.Close()
	if err == nil {
		err = c.set()
	}
	if err == nil {
		err = dropCapabilities()
	}
	if err == nil && c.Dir != "" {
		err = os.Chdir(c.Dir)
	}
	if err == nil {
		err = syscall.Exec(c.Path, c.Args, c.Env)
	}
	fmt.Fprintln(stderr, err)
	return exitFailed
}

// set makes the tree and moves into it. It is called in namespaces of its own, by which nobody else's mounts change.
func (c *Config) set() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part from the machine's mounts: %w", err)
	}
	if c.Hostname != "" {
		if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	if c.Image != "" {
		if err := c.showImage(); err != nil {
			return fmt.Errorf("show the image %s: %w", c.Image, err)
		}
	}
	steps, mounts, err := plan(below(""), c.Mounts)
	if err != nil {
		return err
	}
	root := "/"
	if len(steps) > 0 {
		root = c.Root
		if err := view("", root, steps); err != nil {
			return err
		}
	}
	if c.OwnProcesses {
		if err := mountProc(filepath.Join(root, "proc")); err != nil {
			return err
		}
	}
	if err := mountAll(root, mounts); err != nil {
		return err
	}
	if root == "/" {
		return nil
	}
	if err := unix.Mount("", root, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("move to the new root: %w", err)
	}
	return pivot(root)
}

func mountProc(at string) error {
	if err := unix.Mount("proc", at, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// pivot makes a mount the root, without a trace of the old one.
func pivot(root string) error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("move to the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("move to the new root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := os.Chdir(dir); err != nil {
		return os.Chdir("/")
	}
	return nil
}

// showImage shows the image's directory at its place: as an overlay whose changes are kept beside it where that can be had, else made of
// its entries, which then can't be written.
func (c *Config) showImage() error {
	steps, mounts, err := plan(below(c.Image), c.ImageMounts)
	if err != nil {
		return err
	}
	if err := c.overlayImage(mounts); err != nil {
		if !isRefused(err) {
			return err
		}
		if err := c.composeImage(steps); err != nil {
			return err
		}
	}
	return mountAll(c.ImageAt, mounts)
}

// isRefused tells whether an error says that the kernel does not let this user do it: old ones have no overlays for users, and in a
// directory of another user nothing can be made, not in an overlay of it either.
func isRefused(err error) bool {
	for _, refused := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENODEV, unix.EOVERFLOW, unix.EROFS} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// overlayImage shows the image as an overlay with all places in it, and leaves no mount behind where it can't.
func (c *Config) overlayImage(mounts []Mount) error {
	info, err := os.Stat(c.Image)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return unix.EACCES
	}
	if err := overlay(c.Image, c.ImageScratch, c.ImageAt); err != nil {
		return err
	}
	for i, m := range mounts {
		if covered(mounts[:i], m.Target) {
			continue
		}
		if err := ensure(filepath.Join(c.ImageAt, m.Target), m.File); err != nil {
			return errors.Join(err, unix.Unmount(c.ImageAt, unix.MNT_DETACH))
		}
	}
	return nil
}

// composeImage shows the image by its entries.
func (c *Config) composeImage(steps []step) error {
	if err := view(below(c.Image), c.ImageAt, steps); err != nil {
		return err
	}
	if len(steps) == 0 {
		return readOnly(c.ImageAt)
	}
	for _, s := range steps {
		if s.kind == showDir || s.kind == showFile {
			if err := readOnly(filepath.Join(c.ImageAt, s.path)); err != nil {
				return err
			}
		}
	}
	return unix.Mount("", c.ImageAt, "", unix.MS_PRIVATE, "")
}

// overlay mounts a directory so that it can be written, with what is written kept in scratch.
func overlay(lower, scratch, at string) error {
	upper, work := filepath.Join(scratch, "upper"), filepath.Join(scratch, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	info, err := os.Stat(lower)
	if err != nil {
		return err
	}
	if err := os.Chmod(upper, info.Mode().Perm()|0o700); err != nil {
		return err
	}
	// A name with a colon or a comma would be read as more than one: the directory is gone into instead.
	before, err := os.Getwd()
	if err != nil {
		before = "/"
	}
	if err := os.Chdir(lower); err != nil {
		return err
	}
	defer func() { _ = os.Chdir(before) }()
	return unix.Mount("overlay", at, "overlay", unix.MS_NOSUID|unix.MS_NODEV, "lowerdir=.,upperdir="+upper+",workdir="+work+",userxattr")
}

// dropCapabilities takes back what this program was given for setting the scene, of all its threads: the program that comes is to have
// no more than its user has.
func dropCapabilities() error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); errno != 0 && errno != unix.EINVAL {
		return fmt.Errorf("give capabilities back: %w", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("give capabilities back: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("give capabilities back: %w", err)
	}
	return nil
}
