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
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/monitoring"
)

// scraped is what a manager shows of its metrics.
func (s *side) scraped(url string) monitoring.Scrape {
	s.t.Helper()
	at := time.Now()
	response, err := http.Get(url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("/metrics: %v, %s %s", err, response.Status, text)
	}
	return monitoring.Scrape{At: at, Text: string(text)}
}

// scrape reads the shared manager's metrics.
func (s *side) scrape() monitoring.Scrape {
	s.t.Helper()
	all := s.scraped(shared.metrics)
	// Other tests have RemoteBackends of their own here, some of which are not well.
	var ours strings.Builder
	for line := range strings.Lines(all.Text) {
		_, backend, of := strings.Cut(line, `backend="`)
		if !of || strings.HasPrefix(backend, mainBackend+`"`) || strings.HasPrefix(backend, `-"`) {
			ours.WriteString(line)
		}
	}
	return monitoring.Scrape{At: all.At, Text: ours.String()}
}

// ofOurs are the series of a scrape that are the project's own, without their values.
func ofOurs(scrape monitoring.Scrape) []string {
	var out []string
	for line := range strings.Lines(scrape.Text) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "remotejob_") {
			out = append(out, name)
		}
	}
	return out
}

// finished is how many jobs are counted as ended.
func finished(scrape monitoring.Scrape) (n int) {
	for line := range strings.Lines(scrape.Text) {
		if strings.HasPrefix(line, "remotejob_jobs_finished_total{") {
			_, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			count, _ := strconv.Atoi(value)
			n += count
		}
	}
	return n
}

func TestTheDashboardAndTheAlertsReadWhatAManagerShows(t *testing.T) {
	s := shares(t)
	run := func(name, script string) {
		pod := harness.NewPod(name, mainBackend, harness.Shell("main", script))
		s.run(pod)
		s.ended(pod, time.Minute)
		s.gone(pod, time.Minute)
	}
	// After 5 jobs, and after 50.
	const few, more = 5, 45
	for i := range few {
		run(fmt.Sprintf("first-%d", i), fmt.Sprintf("exit %d", i))
	}
	if _, err := s.manager.Do(s.ctx, http.MethodPost, "/create", []byte("{")); err != nil {
		t.Fatal(err)
	}
	before := s.scrape()
	var all sync.WaitGroup
	places := make(chan struct{}, 8)
	for i := range more {
		places <- struct{}{}
		all.Go(func() {
			run(fmt.Sprintf("again-%d", i), fmt.Sprintf("exit %d", i%3))
			<-places
		})
	}
	all.Wait()
	if _, err := s.manager.Do(s.ctx, http.MethodPost, "/create", []byte("{")); err != nil {
		t.Fatal(err)
	}
	after := s.scrape()
	if n := finished(after) - finished(before); n != more {
		t.Errorf("%d jobs are counted as finished, and %d were run", n, more)
	}

	// A label that grows with jobs would show here.
	was, is := ofOurs(before), ofOurs(after)
	for _, name := range is {
		if !slices.Contains(was, name) {
			t.Errorf("more pods brought the series %s", name)
		}
	}
	for _, name := range is {
		for _, of := range []string{"first-", "again-"} {
			if strings.Contains(name, of) {
				t.Errorf("the series %s names a pod", name)
			}
		}
	}

	manual, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(after.Text) {
		if name, ok := strings.CutPrefix(line, "# TYPE remotejob_"); ok {
			if name, _, _ = strings.Cut(name, " "); !strings.Contains(string(manual), "| `remotejob_"+name+"` |") {
				t.Errorf("docs/operations.md says nothing of remotejob_%s", name)
			}
		}
	}

	expressions, err := monitoring.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := monitoring.Ask(s.ctx, expressions, everyMinute([]monitoring.Scrape{before, after})...)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		e := expressions[i]
		if answer.Error != "" {
			t.Errorf("%s: %s: %s", e.From, e.Query, answer.Error)
		}
		for _, name := range answer.Metrics {
			if !strings.Contains(after.Text, "\n"+name+"{") && !strings.Contains(after.Text, "\n"+name+" ") {
				t.Errorf("%s reads %s, which a manager does not show", e.From, name)
			}
		}
		switch {
		case e.Alert && answer.Samples > 0:
			t.Errorf("%s fires though nothing is wrong: %s", e.From, answer.Value)
		case !e.Alert && answer.Samples == 0:
			t.Errorf("%s shows nothing: %s", e.From, e.Query)
		}
	}
}
