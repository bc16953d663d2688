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
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The modes of files and directories: nobody but the account that the jobs run under reads them.
const (
	FileMode fs.FileMode = 0o600
	DirMode  fs.FileMode = 0o700
)

// maxFile bounds what is read of one file.
const maxFile = 64 << 20

// ErrGarbled is what the error is of a file that was read and holds nothing that makes sense.
var ErrGarbled = errors.New("its content makes no sense")

// ReadSpec reads what to run.
func (d Dir) ReadSpec() (*Spec, error) {
	s, err := readJSON[*Spec](d.Spec())
	if err == nil && (s == nil || s.Pod == nil) {
		return nil, fmt.Errorf("read %s: %w: it holds no pod", d.Spec(), ErrGarbled)
	}
	return s, err
}

// WriteSpec writes what to run.
func (d Dir) WriteSpec(s *Spec) error { return writeJSON(d.Spec(), s) }

// ReadState reads what podrunner says.
func (d Dir) ReadState() (*State, error) {
	s, err := readJSON[*State](d.State())
	if err == nil && s == nil {
		return nil, fmt.Errorf("read %s: %w: it holds no state", d.State(), ErrGarbled)
	}
	return s, err
}

// WriteState writes what podrunner says. Its Decision goes without Actions.
func (d Dir) WriteState(s State) error {
	s.Decision.Actions = nil
	return writeJSON(d.State(), s)
}

// ReadStop reads how the pod is to end; an error that is fs.ErrNotExist where it is not.
func (d Dir) ReadStop() (*Stop, error) { return readJSON[*Stop](d.Stop()) }

// WriteStop says that the pod is to end.
func (d Dir) WriteStop(s Stop) error { return writeJSON(d.Stop(), s) }

// HasBegun tells whether a command of the pod, its pre-exec or a container's, may have run.
func (d Dir) HasBegun() (bool, error) {
	_, err := os.Lstat(d.Begun())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the marker of a pod that has begun: %w", err)
	}
	return true, nil
}

// MarkBegun says, before it does, that a command of the pod may have run. The marker is empty: it needs no block of a full file system.
func (d Dir) MarkBegun() error { return WriteFile(d.Begun(), nil, FileMode) }

// Missing tells whether a job has no directory.
func (d Dir) Missing() (bool, error) {
	_, err := os.Stat(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the job's directory: %w", err)
	}
	return false, nil
}

// IsDone tells whether the token is over for ever.
func (b Base) IsDone(token string) (bool, error) {
	_, err := os.Lstat(b.Done(token))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the done marker: %w", err)
	}
	return true, nil
}

// MarkDone says that a token is over for ever.
func (b Base) MarkDone(token string, m Done) error {
	if err := os.MkdirAll(b.DoneDir(), DirMode); err != nil {
		return fmt.Errorf("make the directory of done markers: %w", err)
	}
	return writeJSON(b.Done(token), m)
}

// WriteFile puts content in a file's place at once: whoever reads it gets the old content or the new one, after a crash too.
func WriteFile(name string, content []byte, mode fs.FileMode) error {
	// A name of its own each time: two writers must not share one.
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text())
	err := writeSynced(temp, content, mode)
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(filepath.Dir(name))
}

func writeSynced(name string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		// NFS says only here that there was no room.
		err = closeErr
	}
	return err
}

// syncDir makes what was renamed outlast a crash. Some file systems can't, and say so: there is nothing else to do then.
func syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) && !IsFull(err) {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// IsFull tells whether an error says that there is no room.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func writeJSON(name string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return WriteFile(name, append(data, '\n'), FileMode)
}

func readJSON[T any](name string) (T, error) {
	var content T
	info, err := os.Stat(name)
	if err != nil {
		return content, fmt.Errorf("read %s: %w", name, err)
	}
	if info.Size() > maxFile {
		return content, fmt.Errorf("read %s: it is longer than %d bytes", name, maxFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return content, fmt.Errorf("read %s: %w", name, err)
	}
	// What was written over a preallocated file may end in NUL bytes.
	if err := json.Unmarshal(bytes.TrimRight(data, "\x00"), &content); err != nil {
		return content, fmt.Errorf("read %s: %w: %w", name, ErrGarbled, err)
	}
	return content, nil
}
