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

// Package monitoring holds the dashboard and the alerts against what they read: Prometheus' own parser, engine and promtool, which are a
// module of their own (hack/promtool).
package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// Expression is a query of the dashboard or of an alert.
type Expression struct {
	// From names the panel or the alert.
	From string
	// Query is the query with Grafana's variables filled in.
	Query string
	// Alert tells that it is an alert's.
	Alert bool
}

// Rules is the part of the alerts' manifest that Prometheus itself reads.
func Rules() ([]byte, error) {
	var manifest struct {
		Spec json.RawMessage `json:"spec"`
	}
	err := read("config/prometheus/rules.yaml", &manifest)
	return manifest.Spec, err
}

// Expressions are all queries of the dashboard and the alerts.
func Expressions() ([]Expression, error) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := read("config/grafana/remotejob-operator.json", &dashboard); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("$__rate_interval", "5m", "$backend", ".*", "$instance", ".*")
	var out []Expression
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			out = append(out, Expression{From: "panel " + panel.Title, Query: fill.Replace(target.Expr)})
		}
	}
	rules, err := Rules()
	if err != nil {
		return nil, err
	}
	var groups struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := json.Unmarshal(rules, &groups); err != nil {
		return nil, err
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			out = append(out, Expression{From: "alert " + rule.Alert, Query: rule.Expr, Alert: true})
		}
	}
	return out, nil
}

func read(path string, into any) error {
	data, err := os.ReadFile(filepath.Join(harness.Root(), path))
	if err != nil {
		return err
	}
	return yaml.Unmarshal(data, into)
}

// Scrape is what a manager's /metrics answered.
type Scrape struct {
	At   time.Time
	Text string
}

// Answer is what Prometheus makes of one expression.
type Answer struct {
	Error   string
	Metrics []string
	Samples int
	Value   string
}

// Ask has Prometheus parse the expressions, and evaluate them on what was scraped, at the time of the last scrape.
func Ask(ctx context.Context, expressions []Expression, scrapes ...Scrape) ([]Answer, error) {
	type scrape struct {
		At   int64  `json:"at"`
		Text string `json:"text"`
	}
	var in struct {
		Scrapes     []scrape `json:"scrapes"`
		Expressions []string `json:"expressions"`
	}
	for _, s := range scrapes {
		in.Scrapes = append(in.Scrapes, scrape{At: s.At.UnixMilli(), Text: s.Text})
	}
	for _, e := range expressions {
		in.Expressions = append(in.Expressions, e.Query)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	data, err := prometheus(ctx, body, "run", ".")
	if err != nil {
		return nil, err
	}
	var out []Answer
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	if len(out) != len(expressions) {
		return nil, fmt.Errorf("%d expressions have %d answers", len(expressions), len(out))
	}
	return out, nil
}

// Promtool runs promtool.
func Promtool(ctx context.Context, args ...string) ([]byte, error) {
	return prometheus(ctx, nil, append([]string{"tool", "promtool"}, args...)...)
}

// prometheus runs go in the module of Prometheus' tools. It leaves out the discovery of targets, which is most of its code.
func prometheus(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(harness.Root(), "hack", "promtool")
	cmd.Env = append(os.Environ(), "GOFLAGS=-tags=remove_all_sd -buildvcs=false")
	cmd.Stdin = bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.Bytes(), nil
}
