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

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// spans is a collector that keeps what it gets, by trace.
type spans struct {
	collector.UnimplementedTraceServiceServer
	mu  sync.Mutex
	all map[string][]*tracev1.Span
}

func (s *spans) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				id := hex.EncodeToString(span.TraceId)
				s.all[id] = append(s.all[id], span)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// collect starts a collector, and returns the flag by which a manager sends to it.
func collect(t *testing.T) (got *spans, flag string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got = &spans{all: map[string][]*tracev1.Span{}}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, got)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return got, "--otlp-endpoint=http://" + listener.Addr().String()
}

func (s *spans) of(trace string) []*tracev1.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all[trace])
}

// traces are the ids of all traces.
func (s *spans) traces() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.all {
		ids = append(ids, id)
	}
	return ids
}

func value(span *tracev1.Span, name string) string {
	for _, a := range span.Attributes {
		if a.Key == name {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func TestOneTraceTellsOfAPodFromItsCallToItsEngine(t *testing.T) {
	t.Parallel()
	got, endpoint := collect(t)
	w := newWorld(t)
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, engine: shared.engine}
	s.manager = harness.StartManager(t, harness.ManagerOptions{
		Binaries: shared.binaries, Config: w.plane.Config, Args: []string{endpoint},
	})
	rb := w.ledger.NewBackend(s.ctx, t, "traced", shared.engine.Host)
	pod := harness.NewPod("traced", rb.Name, harness.Shell("main", "exit 3"))
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	s.deleteAfterwards(pod)
	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", harness.Request(pod).Body(t), "traceparent", "00-"+trace+"-"+parent+"-01")
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/create: %v %d %s", err, answer.Code, answer.Body)
	}
	s.ended(pod, time.Minute)
	harness.Eventually(t, time.Minute, "the whole trace", func() error {
		seen := map[string]*tracev1.Span{}
		engine := 0
		for _, span := range got.of(trace) {
			seen[span.Name] = span
			if value(span, "server.address") != "" || value(span, "url.full") != "" {
				engine++
			}
		}
		call, submit, end := seen["/create"], seen["backend submit"], seen["the job has ended"]
		if call == nil || submit == nil || end == nil || engine == 0 {
			return fmt.Errorf("there are %v, %d of the engine's client", seen, engine)
		}
		if hex.EncodeToString(call.ParentSpanId) != parent || !bytes.Equal(submit.ParentSpanId, call.SpanId) {
			return fmt.Errorf("the call is not its caller's, or the submission not the call's")
		}
		for _, span := range []*tracev1.Span{call, submit, end} {
			if value(span, "k8s.pod.uid") != string(pod.UID) || value(span, "interlink.session") != s.manager.Session {
				return fmt.Errorf("%s names neither pod nor session: %v", span.Name, span.Attributes)
			}
		}
		if end.Status.GetMessage() != "Error" || value(end, "remotejob.phase") != "Failed" {
			return fmt.Errorf("the end is told as %v %v", end.Status, end.Attributes)
		}
		return nil
	})
	// What goes on all the time makes no traces: questions, pings, observations.
	if ids := got.traces(); !slices.Equal(ids, []string{trace}) {
		t.Errorf("there are the traces %v", ids)
	}
}
