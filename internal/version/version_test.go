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

package version

import (
	"runtime/debug"
	"testing"
)

func TestVersionOfASourceBuildNamesItsCommit(t *testing.T) {
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "devel"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "3d02fdc8f1"}, {Key: "vcs.modified", Value: "false"}}, "devel-3d02fdc"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "3d02fdc8f1"}, {Key: "vcs.modified", Value: "true"}}, "devel-3d02fdc-dirty"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "3d0"}}, "devel-3d0"},
	} {
		if got := fromSettings(c.settings); got != c.want {
			t.Errorf("fromSettings(%v) = %q, want %q", c.settings, got, c.want)
		}
	}
}
