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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// view makes the new tree below dest, a directory that is there: an own directory in memory with the steps in it, or the original as it is.
func view(source below, dest string, steps []step) error {
	if len(steps) == 0 {
		return bind(source.at("/"), dest)
	}
	if err := unix.Mount("tmpfs", dest, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("make a root directory: %w", err)
	}
	// Otherwise what is shown of the directory that dest lies in would show dest again.
	if err := unix.Mount("", dest, "", unix.MS_UNBINDABLE, ""); err != nil {
		return fmt.Errorf("make a root directory: %w", err)
	}
	for _, s := range steps {
		p := filepath.Join(dest, s.path)
		var err error
		switch s.kind {
		case makeDir:
			err = os.Mkdir(p, 0o755) //nolint:gosec // containers of other users must be able to enter
		case makeFile:
			err = touch(p)
		case makeLink:
			err = os.Symlink(s.link, p)
		case showDir:
			if err = os.Mkdir(p, 0o755); err == nil { //nolint:gosec // containers of other users must be able to enter
				err = show(source.at(s.path), p)
			}
		case showFile:
			if err = touch(p); err == nil {
				err = show(source.at(s.path), p)
			}
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", s.path, err)
		}
	}
	return nil
}

func touch(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // containers of other users must be able to read
	if err != nil {
		return err
	}
	return f.Close()
}

// show is bind for what need not be there: an entry that is gone since, or that nobody may mount, stays empty.
func show(source, target string) error {
	err := bind(source, target)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESTALE) {
		return nil
	}
	return err
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", source, err)
	}
	return nil
}

// mountAll mounts below a root, in order.
func mountAll(root string, mounts []Mount) error {
	for _, m := range mounts {
		target := filepath.Join(root, m.Target)
		// A mount may have covered the place that was made for one inside of it.
		if err := ensure(target, m.File); err != nil {
			return fmt.Errorf("mount at %s: %w", m.Target, err)
		}
		if m.Source == "" {
			continue
		}
		if err := bind(m.Source, target); err != nil {
			return err
		}
		if m.ReadOnly {
			if err := readOnly(target); err != nil {
				return fmt.Errorf("mount %s read-only: %w", m.Target, err)
			}
		}
	}
	return nil
}

func ensure(target string, file bool) error {
	if _, err := os.Lstat(target); !isMissing(err) {
		return err
	}
	if !file {
		return os.MkdirAll(target, 0o755) //nolint:gosec // containers of other users must be able to enter
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil { //nolint:gosec // containers of other users must be able to enter
		return err
	}
	return touch(target)
}

// readOnly lets nothing at and below a mount be written.
func readOnly(target string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// An old kernel does one mount at a time, and wants to hear all flags that the mount has already.
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		return err
	}
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME
	return unix.Mount("", target, "", uintptr(fs.Flags)&kept|unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}
