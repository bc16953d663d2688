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

package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// sendFiles hands over the files that a command is to write to, behind one byte that carries them.
func sendFiles(conn *net.UnixConn, stdout, stderr *os.File) error {
	rights := syscall.UnixRights(int(stdout.Fd()), int(stderr.Fd()))
	if _, _, err := conn.WriteMsgUnix([]byte{'F'}, rights, nil); err != nil {
		return fmt.Errorf("hand over the command's output: %w", err)
	}
	return nil
}

func receiveFiles(conn *net.UnixConn) (stdout, stderr *os.File, err error) {
	data, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(8))
	n, controlLen, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return nil, nil, fmt.Errorf("take the command's output: %w", err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:controlLen])
	if err != nil || n != 1 || len(messages) != 1 {
		return nil, nil, errors.Join(errors.New("take the command's output: none came"), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		return nil, nil, errors.Join(errors.New("take the command's output: not two files came"), err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(fds[0]), "stdout"), os.NewFile(uintptr(fds[1]), "stderr"), nil
}

// peer is the process at the other end of a connection, by the number that it has here.
func peer(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		cred, optErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, optErr); err != nil {
		return 0, fmt.Errorf("learn who connected: %w", err)
	}
	return int(cred.Pid), nil
}
