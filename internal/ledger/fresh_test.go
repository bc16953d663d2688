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

package ledger

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestWhatWasJustRecordedIsHandedOverOnceAndToItsOwnRemoteJobOnly(t *testing.T) {
	now := time.Now()
	job := func(uid types.UID) *v1alpha1.RemoteJob {
		return &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "j", UID: uid}}
	}
	parts := [][]byte{{payloadVersion, '{', '}'}}
	cases := map[string]struct {
		written *v1alpha1.RemoteJob
		asked   types.UID
		after   time.Duration
		want    bool
	}{
		"the one that was written":                       {job("u1"), "u1", 0, true},
		"another one of the same name":                   {job("u1"), "u2", 0, false},
		"one that was there before, so the write failed": {nil, "u1", 0, false},
		"one that was written a while ago":               {job("u1"), "u1", freshFor + 1, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := &fresh{}
			settle := f.begin(job(""), parts, now)
			settle(c.written)
			got, gotParts := f.take(t.Context(), types.NamespacedName{Namespace: "n", Name: "j"}, c.asked, now.Add(c.after))
			if (got != nil) != c.want || (len(gotParts) > 0) != c.want {
				t.Errorf("got %v, %v, want one: %v", got, gotParts, c.want)
			}
			if again, _ := f.take(t.Context(), types.NamespacedName{Namespace: "n", Name: "j"}, c.asked, now.Add(c.after)); again != nil {
				t.Error("it was handed over twice")
			}
			if f.bytes != 0 || len(f.byKey) != 0 {
				t.Errorf("%d bytes of %d are still kept", f.bytes, len(f.byKey))
			}
		})
	}
}

func TestAJobThatTheCacheShowsBeforeItsWriteIsAnsweredWaitsForTheAnswer(t *testing.T) {
	f := &fresh{}
	job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "j"}}
	settle := f.begin(job, nil, time.Now())
	taken := make(chan *v1alpha1.RemoteJob)
	go func() {
		got, _ := f.take(t.Context(), types.NamespacedName{Namespace: "n", Name: "j"}, "u", time.Now())
		taken <- got
	}()
	written := job.DeepCopy()
	written.UID = "u"
	settle(written)
	if got := <-taken; got != written {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsKeptOfFreshRemoteJobsIsBounded(t *testing.T) {
	f := &fresh{}
	now := time.Now()
	for i := range 200 {
		job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: string(rune('a' + i))}}
		f.begin(job, [][]byte{make([]byte, freshEach-100)}, now)(job)
	}
	if f.bytes > freshBytes+freshEach {
		t.Errorf("%d bytes are kept", f.bytes)
	}
	f.begin(&v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Name: "large"}}, [][]byte{make([]byte, freshEach+1)}, now)
	if f.byKey[types.NamespacedName{Name: "large"}] != nil {
		t.Error("one that is too large by itself is kept")
	}
}
