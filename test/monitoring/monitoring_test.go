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

package monitoring_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/monitoring"
)

func TestAlertsFireWhenTheyShould(t *testing.T) {
	dir := t.TempDir()
	rules, err := monitoring.Rules()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(filepath.Join(harness.Root(), "config", "prometheus", "tests", "rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"rules.yaml": rules, "rules_test.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := monitoring.Promtool(t.Context(), "test", "rules", filepath.Join(dir, "rules_test.yaml")); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	expressions, err := monitoring.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range expressions {
		if name, ok := strings.CutPrefix(e.From, "alert "); ok && !strings.Contains(string(cases), "alertname: "+name+"\n") {
			t.Errorf("no test has %s fire", name)
		}
	}
}

func TestEveryQueryIsOneToPrometheus(t *testing.T) {
	expressions, err := monitoring.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	if len(expressions) < 30 {
		t.Fatalf("there are only %d queries", len(expressions))
	}
	answers, err := monitoring.Ask(t.Context(), append(expressions, monitoring.Expression{Query: "sum by"}))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range expressions {
		if answers[i].Error != "" || len(answers[i].Metrics) == 0 {
			t.Errorf("%s: %s: %s", e.From, e.Query, answers[i].Error)
		}
	}
	if answers[len(expressions)].Error == "" {
		t.Error("nonsense is taken for a query")
	}
}
