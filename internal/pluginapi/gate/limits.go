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

package gate

import (
	"net/http"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// maxClients bounds how many clients are told apart. Who has not called for the longest time is forgotten first.
const maxClients = 4096

// limits are the rates of clients, by name.
type limits struct {
	rate    rate.Limit
	burst   int
	clients *lru.Cache
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, clients: lru.New(maxClients)}
}

func (l *limits) of(client string) *rate.Limiter {
	if known, ok := l.clients.Get(client); ok {
		return known.(*rate.Limiter)
	}
	// Of two first calls at a time one limiter is forgotten, and a call more let in.
	limiter := rate.NewLimiter(l.rate, l.burst)
	l.clients.Add(client, limiter)
	return limiter
}

// now tells whether the client may make a call at once.
func (l *limits) now(client string) bool { return l.of(client).Allow() }

// turn waits until it is the client's turn, and refuses what would have to wait too long. A refusal costs interLink a pod (/create) or its
// node (the ping), and a wait costs it nothing but time: so only clients that keep many calls waiting at once are refused.
func turn(r *http.Request, l *limits, client string) error {
	if l == nil {
		return nil
	}
	reservation := l.of(client).Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	if delay > patience(r) {
		reservation.Cancel()
		return tooMany(delay)
	}
	// The wait also ends when the server is told to stop: what has come this far is still answered then.
	_ = pause(r.Context(), delay)
	return nil
}
