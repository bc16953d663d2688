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

// Package harness runs the project on real parts for tests: a control plane of its own, Docker engines of its own in network namespaces
// of their own, managers as processes that can be killed, and a client that speaks as interLink does. Nothing here knows how the product
// works inside: tests see what its users see.
package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Root is the root of the repository.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("the path of this source file is not known")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// NeedRoot returns an error that says what is missing where this process may not do what the harness has to.
func NeedRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("these tests start Docker engines in network namespaces of their own, which takes root")
	}
	return nil
}

// pollInterval is short, since a poll is cheap and every test waits for many things.
const pollInterval = 50 * time.Millisecond

// pollLong is how long starting a part may take.
const pollLong = slack * time.Minute

// slack stretches what tests wait for. Their times are what a quiet machine keeps with ease; one whose disk or processors others use as
// well takes longer, and only a test that fails anyway takes longer for it. What is promised about time is measured, not waited for.
const slack = 4

// Eventually asks until the condition returns nil, and fails the test with its last words when that does not happen in time.
func Eventually(t testing.TB, within time.Duration, what string, condition func() error) {
	t.Helper()
	within *= slack
	if err := Poll(within, condition); err != nil {
		t.Fatalf("%s: not within %s: %v", what, within, err)
	}
}

// Poll asks until the condition returns nil, or returns its last words when that does not happen in time.
func Poll(within time.Duration, condition func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// Always asks for a while and fails the test as soon as the condition returns an error. It is for what must not happen.
func Always(t testing.TB, during time.Duration, what string, condition func() error) {
	t.Helper()
	for deadline := time.Now().Add(during); time.Now().Before(deadline); time.Sleep(pollInterval) {
		if err := condition(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
