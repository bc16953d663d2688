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
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// askLedgerEvery is how often the API server is asked whether it is well, and askLedgerTimeout how long it has to answer.
	askLedgerEvery   = 10 * time.Second
	askLedgerTimeout = 5 * time.Second
)

// ledgerHealth knows whether the API server that keeps the ledger answers. While it does not, pings tell of no capacity: the virtual node
// then keeps what it has, and nothing new is said of a backend that nobody could put to use.
type ledgerHealth struct {
	client *http.Client
	url    string
	away   atomic.Bool
}

func newLedgerHealth(config *rest.Config, client *http.Client) (*ledgerHealth, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	return &ledgerHealth{client: client, url: base.JoinPath("readyz").String()}, nil
}

// NeedLeaderElection says that every replica asks for itself.
func (h *ledgerHealth) NeedLeaderElection() bool { return false }

// Start asks from time to time, until the context ends.
func (h *ledgerHealth) Start(ctx context.Context) error {
	tick := time.NewTicker(askLedgerEvery)
	defer tick.Stop()
	for {
		err := h.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if away := err != nil; h.away.Swap(away) != away {
			if away {
				log.FromContext(ctx).Info("the API server is away; pings tell of no capacity", "cause", err.Error())
			} else {
				log.FromContext(ctx).Info("the API server is back")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *ledgerHealth) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askLedgerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}
