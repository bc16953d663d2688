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

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Copy hands on what comes out of a command's pipe until that ends, or until grace after ended is closed: what the command started may hold
// the pipe open. All that the command wrote before its end arrives, however slow w is and however late this gets to run: at the end of the
// grace it is taken out of the pipe by its number of bytes.
func Copy(w io.Writer, r *os.File, ended <-chan struct{}, grace time.Duration) error {
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-ended:
			_ = r.SetReadDeadline(time.Now().Add(grace))
		case <-over:
		}
	}()
	_, err := io.Copy(w, r)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("read the rest of a command's output: %w", err)
	}
	rest, err := unread(r)
	if err != nil {
		return fmt.Errorf("read the rest of a command's output: %w", err)
	}
	_, err = io.CopyN(w, r, rest)
	return err
}

// RunCommand runs a command and hands on all that it says, as Copy does. os/exec would wait for a delay after the end, and drop what has not been
// taken by then. It is for programs that have no Table, which reaps all children.
func RunCommand(cmd *exec.Cmd, stdout, stderr io.Writer, grace time.Duration) error {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer outRead.Close()
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		_ = outWrite.Close()
		return err
	}
	defer errRead.Close()
	cmd.Stdout, cmd.Stderr = outWrite, errWrite
	err = cmd.Start()
	_, _ = outWrite.Close(), errWrite.Close()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	var copied sync.WaitGroup
	copied.Go(func() { _ = errors.Join(Copy(stdout, outRead, ended, grace), outRead.Close()) })
	copied.Go(func() { _ = errors.Join(Copy(stderr, errRead, ended, grace), errRead.Close()) })
	err = cmd.Wait()
	close(ended)
	copied.Wait()
	return err
}

// unread is how many bytes a pipe holds.
func unread(r *os.File) (n int64, err error) {
	conn, err := r.SyscallConn()
	if err != nil {
		return 0, err
	}
	var count int
	var failed error
	err = conn.Control(func(fd uintptr) { count, failed = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return int64(count), errors.Join(err, failed)
}
