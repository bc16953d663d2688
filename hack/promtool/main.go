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

// Command promtool here is not Prometheus' own, which this module pins as a tool: it parses queries, and evaluates them on what was
// scraped, so that tests can hold dashboards and alerts against a real run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// request is what comes in, as JSON.
type request struct {
	// Scrapes in the order of time, in milliseconds.
	Scrapes []struct {
		At   int64  `json:"at"`
		Text string `json:"text"`
	} `json:"scrapes"`
	Expressions []string `json:"expressions"`
}

// answer is what goes out about one expression.
type answer struct {
	Expression string `json:"expression"`
	Error      string `json:"error,omitempty"`
	// Metrics are the names that it reads.
	Metrics []string `json:"metrics"`
	// Samples is how many it returns at the time of the last scrape, and Value what they are, for people.
	Samples int    `json:"samples"`
	Value   string `json:"value"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var req request
	if err := json.NewDecoder(in).Decode(&req); err != nil {
		return err
	}
	store, err := teststorage.NewWithError()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	at := time.Now()
	for _, scrape := range req.Scrapes {
		if err := load(store, scrape.Text, scrape.At); err != nil {
			return err
		}
		at = time.UnixMilli(scrape.At)
	}
	parse := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: parse})
	answers := make([]answer, 0, len(req.Expressions))
	for _, expression := range req.Expressions {
		answers = append(answers, ask(engine, parse, store, expression, at))
	}
	return json.NewEncoder(out).Encode(answers)
}

func ask(engine *promql.Engine, parse parser.Parser, store storage.Queryable, expression string, at time.Time) answer {
	out := answer{Expression: expression}
	parsed, err := parse.ParseExpr(expression)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok && !slices.Contains(out.Metrics, selector.Name) {
			out.Metrics = append(out.Metrics, selector.Name)
		}
		return nil
	})
	query, err := engine.NewInstantQuery(context.Background(), store, nil, expression, at)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if result.Err != nil {
		out.Error = result.Err.Error()
		return out
	}
	out.Value, out.Samples = result.String(), 1
	if vector, ok := result.Value.(promql.Vector); ok {
		out.Samples = len(vector)
	}
	return out
}

// load takes a scrape into the store, as Prometheus does.
func load(store storage.Appendable, text string, at int64) error {
	p, err := textparse.New([]byte(text), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{FallbackContentType: "text/plain"})
	if err != nil {
		return err
	}
	appender := store.Appender(context.Background())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return appender.Commit()
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, value := p.Series()
		b := labels.NewBuilder(l).Set("job", "remotejob").Set("instance", "one")
		if _, err := appender.Append(0, b.Labels(), at, value); err != nil {
			return err
		}
	}
}
