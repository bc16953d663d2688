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

package grace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheEarliestDeadlineHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		d := NewDeadline(begun.Add(time.Hour), time.Now)
		go func() {
			time.Sleep(time.Second)
			d.Sooner(begun.Add(time.Minute))
			d.Sooner(begun.Add(2 * time.Minute))
		}()
		if came := d.Wait(nil, nil); !came || time.Since(begun) != time.Minute {
			t.Errorf("it came after %s: %v", time.Since(begun), came)
		}
	})
}

func TestTheLeastGraceCountsFromTheSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDeadline(time.Now().Add(-time.Hour), time.Now)
		if !d.Wait(nil, nil) {
			t.Error("a deadline that is over did not come")
		}
		d.Signalled()
		signalled := time.Now()
		// Decided on before the signal was sent.
		d.Sooner(signalled.Add(-time.Minute))
		if came := d.Wait(nil, nil); !came || time.Since(signalled) != Least {
			t.Errorf("it came after %s: %v", time.Since(signalled), came)
		}
		d.Again(time.Minute)
		if came := d.Wait(nil, nil); !came || time.Since(signalled) != Least+time.Minute {
			t.Errorf("the next one came after %s: %v", time.Since(signalled), came)
		}
	})
}

func TestADeadlineIsNotWaitedForOnceAllIsOver(t *testing.T) {
	over := make(chan struct{})
	close(over)
	d := NewDeadline(time.Now().Add(time.Hour), time.Now)
	if d.Wait(over, nil) || d.Wait(nil, over) {
		t.Error("it came")
	}
}
