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

package serving

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// Socket says who may use a unix socket.
type Socket struct {
	// Mode of the socket; 0 means DefaultSocketMode.
	Mode fs.FileMode
	// Group is a group's name or number; empty for that of the process.
	Group string
}

// DefaultSocketMode lets the group of a socket in.
const DefaultSocketMode fs.FileMode = 0o660

// socketProbe is how long a socket that is there already may take to answer.
const socketProbe = time.Second

// ParseSocketMode reads a mode as chmod takes it, such as 0660.
func ParseSocketMode(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		return 0, fmt.Errorf("%q is no mode of a socket, such as 0660: three octal digits, of which the first lets the owner in", text)
	}
	return fs.FileMode(mode), nil
}

// Listen opens an address. A socket that nobody answers at any more is replaced.
func Listen(address Address, socket Socket) (net.Listener, error) {
	if address.Network != "unix" {
		return net.Listen(address.Network, address.Address)
	}
	if err := makeRoom(address.Address); err != nil {
		return nil, err
	}
	listener, err := listenAlone(address.Address)
	if err != nil {
		return nil, err
	}
	if err := socket.open(address.Address); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// makeRoom removes a socket that nobody answers at, and nothing else.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return errors.New("there is something at this path that is not a socket")
	}
	if connection, err := net.DialTimeout("unix", path, socketProbe); err == nil {
		_ = connection.Close()
		return errors.New("another process answers at this socket")
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the stale socket: %w", err)
	}
	return nil
}

// listenAlone makes a socket that lets in nobody but this user, from its first moment on.
func listenAlone(path string) (net.Listener, error) {
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}

// open lets in whom the socket is for.
func (s Socket) open(path string) error {
	if s.Group != "" {
		gid, err := groupID(s.Group)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("give the socket to the group %s: %w", s.Group, err)
		}
	}
	mode := s.Mode
	if mode == 0 {
		mode = DefaultSocketMode
	}
	return os.Chmod(path, mode)
}

func groupID(name string) (int, error) {
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(id), nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(group.Gid)
}
