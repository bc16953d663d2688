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

package sshd

import (
	"errors"
	"net"
	"os/user"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
)

func TestWhoeverElseAnswersAtTheAddressIsNotTakenForTheServer(t *testing.T) {
	if missing := Missing(); len(missing) > 0 {
		skip.Lacking(t, "this machine lacks Debian's packages %q", missing)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: t.TempDir(), User: me.Username, MaxSessions: 10}
	s := &Server{User: o.User, dir: o.Dir}
	if err := errors.Join(s.makeKeys(), s.configure(o)); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Launch(t.Context()); !errors.Is(err, errTaken) {
		t.Errorf("with another at its address: %v", err)
	}
	_ = other.Close()
	if err := s.Launch(t.Context()); err != nil {
		t.Errorf("with the address free: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
