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

package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// run is what calls of one kind, made by some clients at once, showed.
type run struct {
	took []time.Duration
	wall time.Duration
}

// rate is how many calls ended in a second.
func (r run) rate() float64 { return float64(len(r.took)) / r.wall.Seconds() }

func (r run) quantile(q float64) time.Duration { return quantile(r.took, q) }

// and adds another run's calls, as if they had been made after these.
func (r run) and(other run) run {
	return run{took: append(r.took, other.took...), wall: r.wall + other.wall}
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// each makes n calls, by as many clients at once, and ends with the first that fails.
func each(ctx context.Context, n, clients int, do func(ctx context.Context, i int) error) (run, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := run{took: make([]time.Duration, n)}
	next := make(chan int)
	var all sync.WaitGroup
	begin := time.Now()
	for range clients {
		all.Go(func() {
			for i := range next {
				begin := time.Now()
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
				r.took[i] = time.Since(begin)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	all.Wait()
	r.wall = time.Since(begin)
	return r, context.Cause(ctx)
}
