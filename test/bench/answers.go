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
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// bare starts the bare handler, in a process of its own as the manager is.
func (e *environment) bare() (*harness.InterLink, error) {
	dir, err := e.directory()
	if err != nil {
		return nil, err
	}
	address, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	process, err := harness.Start("bare handler", dir+"/bare.log", []string{bareEnv + "=" + address}, os.Args[0])
	if err != nil {
		return nil, err
	}
	e.later(process.Kill)
	bare := harness.NewInterLink(address)
	return bare, harness.Poll(time.Minute, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := bare.Do(ctx, http.MethodGet, "/", nil)
		return err
	})
}

// questionAbout is the body of a /status call about one pod, as large as the virtual kubelet's are.
func questionAbout(pod *corev1.Pod) ([]byte, error) {
	whole := pod.DeepCopy()
	body, err := json.Marshal([]*corev1.Pod{whole})
	if err != nil {
		return nil, err
	}
	// What makes a pod large is the manifest that kubectl keeps in it.
	whole.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = strings.Repeat(`{"a":1}`, max(0, bodyBytes-len(body)-70)/9)
	return json.Marshal([]*corev1.Pod{whole})
}

// questions are about pods all over the ledger.
func (z *size) questions() ([][]byte, []string, error) {
	bodies, uids := make([][]byte, 512), make([]string, 512)
	for i := range bodies {
		pod := z.world.pods[i*7919%len(z.world.pods)]
		var err error
		if bodies[i], err = questionAbout(pod); err != nil {
			return nil, nil, err
		}
		uids[i] = string(pod.UID)
	}
	return bodies, uids, nil
}

// askOne asks the manager and the bare handler in turn about one pod a call, by one client and by many.
func (z *size) askOne(ctx context.Context) error {
	bodies, uids, err := z.questions()
	if err != nil {
		return err
	}
	ask := func(ctx context.Context, i int) error {
		answer, err := z.manager.Do(ctx, http.MethodGet, "/status", bodies[i%len(bodies)])
		if err != nil || answer.Code != http.StatusOK || !strings.Contains(string(answer.Body), uids[i%len(uids)]) {
			return fmt.Errorf("/status about %s: %w, %d %s", uids[i%len(uids)], err, answer.Code, answer.Body)
		}
		return nil
	}
	askBare := func(ctx context.Context, i int) error {
		_, err := z.bare.Do(ctx, http.MethodGet, "/status", bodies[i%len(bodies)])
		return err
	}
	if _, err := each(ctx, callsPerRound, 1, ask); err != nil { // to warm up
		return err
	}
	wait := z.profile(z.manager, z.world.ledger, fmt.Sprintf("status-%d", z.n), 10)
	for _, clients := range []int{1, manyClients} {
		api, polls, begin := z.world.ledger.api.Requests(), z.world.polls(), time.Now()
		var ours, bare run
		for range rounds {
			a, err := each(ctx, callsPerRound*clients, clients, ask)
			if err != nil {
				return err
			}
			b, err := each(ctx, callsPerRound*clients, clients, askBare)
			if err != nil {
				return err
			}
			ours, bare = ours.and(a), bare.and(b)
		}
		what := fmt.Sprintf("/status about one, %d clients: ", clients)
		latencies(z.section, z.what(strings.TrimSuffix(what, ": ")), ours)
		z.add(z.what(what+"rate"), ours.rate(), "calls/s")
		ratio := z.add(z.what(what+"median against a bare handler"), float64(ours.quantile(0.5))/float64(bare.quantile(0.5)), "times")
		if z.n == asked && clients == 1 {
			ratio.atMost(maxRatio)
		}
		// The poll, the check of the backend and watches that are begun anew come with time, not with calls.
		due := float64(time.Since(begin)/standingPoll) + 2
		z.add(z.what(what+fmt.Sprintf("backend commands but for polls, in %d calls", len(ours.took))), max(0, float64(z.world.polls()-polls)-due), "").atMost(0)
		z.add(z.what(what+fmt.Sprintf("API-server requests in %d calls", len(ours.took))), float64(z.world.ledger.api.Requests()-api), "").
			want("none for a call", float64(z.world.ledger.api.Requests()-api) <= 4*due)
	}
	return wait()
}

// askAll asks about all jobs in one call, as far as a body can name them.
func (z *size) askAll(ctx context.Context) error {
	pods := z.named()
	r, err := each(ctx, 5, 1, func(ctx context.Context, _ int) error {
		statuses, answer, err := z.manager.Status(ctx, pods...)
		if err != nil || answer.Code != http.StatusOK || len(statuses) != len(pods) {
			return fmt.Errorf("/status about %d: %w, %d, %d statuses", len(pods), err, answer.Code, len(statuses))
		}
		return nil
	})
	if err != nil {
		return err
	}
	z.duration(z.what(fmt.Sprintf("/status about %d in one call: p50, its decoding by the caller in it", len(pods))), r.quantile(0.5))
	return nil
}
