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

package slurm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

// TestWhatAKilledUploadLeftIsRemovedWithTheMarkers has directories that a script has no more chance to remove.
func TestWhatAKilledUploadLeftIsRemovedWithTheMarkers(t *testing.T) {
	w := newWorld(t)
	b := w.connect(t)
	if _, err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	base := jobdir.Base(w.base)
	result, err := b.run.Run(t.Context(), remote.Shell(`for dir; do
		cd "$dir" && mkdir -p .upload-old/files .upload-new/files rj-other && touch -d '2 hours ago' .upload-old rj-other || exit
	done`, base.Jobs(), base.Bin()))
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := b.PruneMarkers(t.Context(), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{base.Jobs(), base.Bin()} {
		for name, want := range map[string]bool{".upload-old": false, ".upload-new": true, "rj-other": true} {
			if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
				t.Errorf("%s in %s: %v, want it there: %v", name, dir, err, want)
			}
		}
	}
	// Where a site has podrunner somewhere else, there is no directory for it.
	if err := os.RemoveAll(base.Bin()); err != nil {
		t.Fatal(err)
	}
	token, _ := w.comment(1)
	if gone, err := b.Cancel(t.Context(), backend.JobRef{Token: token}); err != nil || !gone {
		t.Fatalf("the cancel: %t, %v", gone, err)
	}
	for _, c := range []struct {
		before time.Time
		there  bool
	}{{now.Add(-time.Hour), true}, {now.Add(time.Hour), false}} {
		if err := b.PruneMarkers(t.Context(), c.before); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(base.Done(token)); (err == nil) != c.there {
			t.Errorf("the marker: %v, want it there: %v", err, c.there)
		}
	}
}
