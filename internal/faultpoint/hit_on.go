//go:build faultpoints

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

package faultpoint

import (
	"os"
	"syscall"
)

// Hit kills this process, by a signal that nothing can catch, when REMOTEJOB_FAULTPOINT names the point; once, if REMOTEJOB_FAULTPOINT_FILE
// names a file that it can make, since the process that is started next must get past it.
func Hit(p Point) {
	if os.Getenv("REMOTEJOB_FAULTPOINT") != string(p) {
		return
	}
	if path := os.Getenv("REMOTEJOB_FAULTPOINT_FILE"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		_ = f.Close()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
