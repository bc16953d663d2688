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

package pluginapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

func TestCallsAreCountedByEndpointAndCode(t *testing.T) {
	registry := prometheus.NewRegistry()
	measured, err := metrics.New(registry, "v1")
	if err != nil {
		t.Fatal(err)
	}
	unread := failing{ledger.Errorf(ledger.Unavailable, ledger.ReasonNotSynced, "the ledger has not been read yet")}
	node := nodes(func(string) pluginapi.Node { return pluginapi.Node{} })
	e := serve(t, pluginapi.Options{Ledger: unread, Nodes: node, Metrics: measured}, "")
	e.call(http.MethodGet, "/status", "[]")
	e.call(http.MethodGet, "/status", `[{"metadata":{"uid":"u"}}]`)
	e.call(http.MethodPost, "/create", "{")
	for i := range 20 {
		e.call(http.MethodGet, fmt.Sprintf("/no-such-path-%d", i), "")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got, timed := map[string]float64{}, map[string]uint64{}
	for _, family := range families {
		for _, m := range family.Metric {
			switch family.GetName() {
			case "remotejob_endpoint_requests_total":
				got[m.Label[1].GetValue()+" "+m.Label[0].GetValue()] = m.Counter.GetValue()
			case "remotejob_endpoint_request_duration_seconds":
				timed[m.Label[0].GetValue()] = m.Histogram.GetSampleCount()
			}
		}
	}
	for name, want := range map[string]float64{"ping 200": 1, "status 503": 1, "create 400": 1, "other 404": 20} {
		if got[name] != want {
			t.Errorf("%v calls counted as %s, want %v", got[name], name, want)
		}
	}
	if len(got) != 4 || len(timed) != 4 || timed["other"] != 20 {
		t.Errorf("calls: %v, times: %v", got, timed)
	}
}
