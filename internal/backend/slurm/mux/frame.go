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

// Package mux runs many commands over one pair of streams, so that fifty followed logs take one session of an SSH connection. Serve is its
// far side, which podrunner is on a login node; Client the near one. A command whose reader is slow holds up no other: each has a bound on
// what is under way, and its reader makes room as it reads.
package mux

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// kind says what a frame is.
type kind byte

const (
	// kindOpen starts a command: its content is the arguments as JSON.
	kindOpen kind = 'o'
	// kindClose ends one.
	kindClose kind = 'c'
	// kindRoom says that so many more bytes (uint32) may be sent.
	kindRoom kind = 'r'
	// kindData is output of a command.
	kindData kind = 'd'
	// kindEnd says how one ended: its content is an End as JSON.
	kindEnd kind = 'e'
)

// headerSize is that of kind, command and length.
const headerSize = 1 + 4 + 4

// maxFrame bounds a frame's content; window is what may be under way of one command's output.
const (
	maxFrame = 1 << 20
	window   = 256 << 10
	maxData  = 32 << 10
)

// frame is what goes over the streams.
type frame struct {
	kind    kind
	command uint32
	content []byte
}

// End is how a command ended.
type End struct {
	// Code is its exit code, 128 and the signal's number where a signal ended it, 127 where it could not be started.
	Code int `json:"code"`
	// Stderr is what it complained about.
	Stderr string `json:"stderr,omitempty"`
}

// frameWriter writes frames from many goroutines.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frameWriter) write(k kind, command uint32, content []byte) error {
	buffer := make([]byte, headerSize, headerSize+len(content))
	buffer[0] = byte(k)
	binary.BigEndian.PutUint32(buffer[1:], command)
	binary.BigEndian.PutUint32(buffer[5:], uint32(len(content)))
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.w.Write(append(buffer, content...))
	return err
}

func (f *frameWriter) room(command uint32, bytes int) error {
	return f.write(kindRoom, command, binary.BigEndian.AppendUint32(nil, uint32(bytes)))
}

// readFrame reads one frame. The end of the stream between two is io.EOF.
func readFrame(r io.Reader) (frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: kind(header[0]), command: binary.BigEndian.Uint32(header[1:])}
	length := binary.BigEndian.Uint32(header[5:])
	if length > maxFrame {
		return frame{}, fmt.Errorf("a frame of %d bytes is longer than any may be", length)
	}
	f.content = make([]byte, length)
	if _, err := io.ReadFull(r, f.content); err != nil {
		return frame{}, fmt.Errorf("read a frame of %d bytes: %w", length, io.ErrUnexpectedEOF)
	}
	return f, nil
}

// roomIn reads the content of a kindRoom frame.
func roomIn(f frame) (int, error) {
	if len(f.content) != 4 {
		return 0, fmt.Errorf("a frame that makes room has %d bytes", len(f.content))
	}
	n := binary.BigEndian.Uint32(f.content)
	if n > window {
		return 0, fmt.Errorf("room for %d bytes is more than there can be", n)
	}
	return int(n), nil
}
