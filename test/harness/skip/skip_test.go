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

package skip

import (
	"runtime"
	"testing"
)

func TestNothingIsSkippedInCI(t *testing.T) {
	for ci, skipped := range map[string]bool{"true": false, "": true} {
		t.Setenv("CI", ci)
		is := &fake{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Lacking(is, "this machine has no %s", "sbatch")
		}()
		<-done
		if is.skipped != skipped || is.failed == skipped {
			t.Errorf("with CI=%q it is skipped: %t, failed: %t", ci, is.skipped, is.failed)
		}
	}
}

type fake struct {
	testing.TB
	skipped, failed bool
}

func (f *fake) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

func (f *fake) Skipf(string, ...any) { f.skipped = true }
