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
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// held is a writer that takes nothing until it is let go.
type held struct {
	taken bytes.Buffer
	letGo chan struct{}
}

func (h *held) Write(p []byte) (int, error) {
	<-h.letGo
	return h.taken.Write(p)
}

func TestWhatWasWrittenBeforeTheEndArrivesHoweverLateItIsRead(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close() // held open to the end, as a process in the background does
	ended := make(chan struct{})
	said := strings.Repeat("x", 60<<10)
	w := &held{letGo: make(chan struct{})}
	result := make(chan error, 1)
	go func() { result <- Copy(w, read, ended, time.Millisecond) }()
	if _, err := write.WriteString(said); err != nil {
		t.Fatal(err)
	}
	close(ended)
	// The grace is over when the pipe can't be read in time any more.
	for deadline := time.Now().Add(patience); ; {
		conn, err := read.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if conn.Read(func(uintptr) bool { return true }) != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the grace does not end")
		}
		<-time.After(time.Millisecond)
	}
	close(w.letGo)
	if err := <-result; err != nil || w.taken.String() != said {
		t.Errorf("%d bytes of %d, %v", w.taken.Len(), len(said), err)
	}
}
