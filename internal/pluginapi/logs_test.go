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
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

// asked keeps what the source of logs was asked for.
type asked struct {
	job  pluginapi.LogJob
	opts corev1.PodLogOptions
}

func (a *asked) Logs(_ context.Context, job pluginapi.LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	a.job, a.opts = job, opts
	return io.NopCloser(strings.NewReader("line 1\nline 2\n")), nil
}

// TestGetLogsTakesEveryForm asks for a log in all forms and looks at what the backend is asked for.
func TestGetLogsTakesEveryForm(t *testing.T) {
	source := &asked{}
	e := withLedger(t, pluginapi.Options{Logs: source})
	e.taken("p")
	e.submitted("p", "job-1")
	const who = `"Namespace":"NS","PodUID":"uid-p","PodName":"p","ContainerName":"c"`
	five, hour, at := int64(5), int64(3600), time.Date(2026, 11, 22, 21, 35, 27, 250e6, time.UTC)
	for name, tt := range map[string]struct {
		query, body string
		want        corev1.PodLogOptions
		since       time.Time
	}{
		"interLink's":               {body: `{` + who + `,"Opts":{"Tail":5,"Bytes":0,"Timestamps":true,"Follow":false,"Previous":false,"SinceSeconds":3600,"SinceTime":"0001-01-01T00:00:00Z"}}`, want: corev1.PodLogOptions{TailLines: &five, Timestamps: true, SinceSeconds: &hour}},
		"zeros":                     {body: `{` + who + `,"Opts":{"Tail":0,"Bytes":0,"LimitBytes":0,"Timestamps":false,"Follow":false,"Previous":false,"SinceSeconds":0,"SinceTime":"0001-01-01T00:00:00Z"}}`},
		"nulls":                     {body: `{` + who + `,"Opts":{"Tail":null,"Bytes":null,"Timestamps":null,"Follow":null,"Previous":null,"SinceSeconds":null,"SinceTime":null}}`},
		"no options":                {body: `{` + who + `}`},
		"options that are null":     {body: `{` + who + `,"Opts":null}`},
		"the year 1 elsewhere":      {body: `{` + who + `,"Opts":{"SinceTime":"0001-01-01T01:00:00+01:00"}}`},
		"Bytes":                     {body: `{` + who + `,"Opts":{"Bytes":5}}`, want: corev1.PodLogOptions{LimitBytes: &five}},
		"LimitBytes":                {body: `{` + who + `,"Opts":{"LimitBytes":5}}`, want: corev1.PodLogOptions{LimitBytes: &five}},
		"Bytes of 0 and LimitBytes": {body: `{` + who + `,"Opts":{"Bytes":5,"LimitBytes":0}}`, want: corev1.PodLogOptions{LimitBytes: &five}},
		"LimitBytes of 0 and Bytes": {body: `{` + who + `,"Opts":{"Bytes":0,"LimitBytes":5}}`, want: corev1.PodLogOptions{LimitBytes: &five}},
		"TailLines":                 {body: `{` + who + `,"Opts":{"TailLines":5}}`, want: corev1.PodLogOptions{TailLines: &five}},
		"a time":                    {body: `{` + who + `,"Opts":{"SinceTime":"2026-11-22T21:35:27.25Z"}}`, since: at},
		"a time and seconds":        {body: `{` + who + `,"Opts":{"SinceTime":"2026-11-22T22:35:27.25+01:00","SinceSeconds":9}}`, since: at},
		"flags":                     {body: `{` + who + `,"Opts":{"Follow":true,"Previous":true,"Timestamps":true}}`, want: corev1.PodLogOptions{Follow: true, Previous: true, Timestamps: true}},
		"options beside Opts":       {body: `{` + who + `,"Tail":5,"Timestamps":true}`, want: corev1.PodLogOptions{TailLines: &five, Timestamps: true}},
		"numbers as text":           {body: `{` + who + `,"Opts":{"Tail":"5","Timestamps":"true"}}`, want: corev1.PodLogOptions{TailLines: &five, Timestamps: true}},
		"snake_case":                {body: `{"namespace":"NS","pod_uid":"uid-p","pod_name":"p","container_name":"c","opts":{"tail":5,"limit_bytes":5,"since_seconds":3600,"timestamps":true}}`, want: corev1.PodLogOptions{TailLines: &five, LimitBytes: &five, SinceSeconds: &hour, Timestamps: true}},
		"a UID alone":               {body: `{"PodUID":"uid-p"}`},
		"a query":                   {query: "?Namespace=NS&PodUID=uid-p&PodName=p&ContainerName=c&Tail=5&Timestamps=true", want: corev1.PodLogOptions{TailLines: &five, Timestamps: true}},
		"a query in snake_case":     {query: "?pod_uid=uid-p&container_name=c&since_seconds=3600&limit_bytes=5&follow=false", want: corev1.PodLogOptions{SinceSeconds: &hour, LimitBytes: &five}},
		"a query with Opts":         {query: "?pod_uid=uid-p&Tail=0&SinceTime=2026-11-22T21:35:27.25Z", since: at},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got := e.call(method, "/getLogs"+strings.ReplaceAll(tt.query, "NS", e.namespace), strings.ReplaceAll(tt.body, "NS", e.namespace))
			if got.code != http.StatusOK || got.text != "line 1\nline 2\n" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s of %s: %d %q", method, name, got.code, got.text)
				continue
			}
			opts := source.opts
			if source.job.JobID != "job-1" || source.job.Backend != "docker" || source.job.Token == "" || opts.Container != "c" {
				t.Errorf("%s of %s: the backend was asked for %+v of %+v", method, name, opts, source.job)
			}
			if !equal(opts.TailLines, tt.want.TailLines) || !equal(opts.LimitBytes, tt.want.LimitBytes) || !equal(opts.SinceSeconds, tt.want.SinceSeconds) ||
				opts.Timestamps != tt.want.Timestamps || opts.Follow != tt.want.Follow || opts.Previous != tt.want.Previous {
				t.Errorf("%s of %s: the backend was asked for %+v, want %+v", method, name, opts, tt.want)
			}
			if tt.since.IsZero() != (opts.SinceTime == nil) || (opts.SinceTime != nil && !opts.SinceTime.Time.Equal(tt.since)) {
				t.Errorf("%s of %s: the backend was asked for what came since %v, want %v", method, name, opts.SinceTime, tt.since)
			}
		}
	}
}

func equal(a, b *int64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func TestTheRecordedRequestForALogIsUnderstood(t *testing.T) {
	source := &asked{}
	e := withLedger(t, pluginapi.Options{Logs: source})
	if got := e.call(http.MethodPost, "/create", e.recorded("create-rich")); got.code != http.StatusOK {
		t.Fatalf("/create: %d %s", got.code, got.text)
	}
	request := strings.ReplaceAll(recorded(t, "getlogs"), `"Namespace":"default"`, `"Namespace":"`+e.namespace+`"`)
	e.eventually("the pod is known and has no log yet", func() bool {
		got := e.call(http.MethodGet, "/getLogs", request)
		return got.code == http.StatusNotFound && strings.Contains(got.text, "no log yet")
	})
	e.submitted("rich", "job-2")
	if got := e.call(http.MethodGet, "/getLogs", request); got.code != http.StatusOK {
		t.Fatalf("/getLogs: %d %s", got.code, got.text)
	}
	if o := source.opts; o.Container != "main" || *o.TailLines != 5 || *o.SinceSeconds != 3600 || !o.Timestamps || o.SinceTime != nil || o.LimitBytes != nil {
		t.Errorf("the backend was asked for %+v", o)
	}
}

func TestALogThatCannotBeHadIsToldOfInWords(t *testing.T) {
	var failure error
	e := withLedger(t, pluginapi.Options{Logs: logs(func(context.Context, pluginapi.LogJob, corev1.PodLogOptions) (io.ReadCloser, error) {
		return nil, failure
	})})
	e.taken("p")
	ask := func(rest string) reply { return e.call(http.MethodGet, "/getLogs", `{"PodUID":"uid-p"`+rest+`}`) }
	e.wantRefusal(ask(``), "no log yet", "docker")
	e.wantRefusal(ask(`,"ContainerName":"other"`), "“other”", "it has c")
	e.wantRefusal(e.call(http.MethodGet, "/getLogs", `{"PodUID":"nobody"}`), "“nobody”")
	e.submitted("p", "job-1")
	failure = ledger.Errorf(ledger.NotFound, ledger.ReasonNotFound, "there was no run before")
	if got := ask(`,"Opts":{"Previous":true}`); got.code != http.StatusNotFound {
		t.Errorf("%d %s", got.code, got.text)
	}
	failure = errors.New("dial unix /run/docker.sock: connection refused")
	e.wantRefusal(ask(``), "docker", "connection refused")
}

func TestAContainersNameIsMissedWhereThePodHasSeveral(t *testing.T) {
	e := withLedger(t, pluginapi.Options{Logs: &asked{}})
	if got := e.call(http.MethodPost, "/create", `{"pod":`+e.pod("p", `,"initContainers":[{"name":"i","image":"i"}]`)+`}`); got.code != http.StatusOK {
		t.Fatalf("/create: %d %s", got.code, got.text)
	}
	if got := e.call(http.MethodPost, "/create", strings.Replace(`{"pod":`+e.pod("q", "")+`}`, `"containers":[`, `"containers":[{"name":"b","image":"b"},`, 1)); got.code != http.StatusOK {
		t.Fatalf("/create: %d %s", got.code, got.text)
	}
	e.submitted("p", "job-1")
	e.submitted("q", "job-2")
	if got := e.call(http.MethodGet, "/getLogs", `{"PodUID":"uid-p"}`); got.code != http.StatusOK {
		t.Errorf("a pod with one container and an init container: %d %s", got.code, got.text)
	}
	if got := e.call(http.MethodGet, "/getLogs", `{"PodUID":"uid-p","ContainerName":"i"}`); got.code != http.StatusOK {
		t.Errorf("an init container: %d %s", got.code, got.text)
	}
	e.wantRefusal(e.call(http.MethodGet, "/getLogs", `{"PodUID":"uid-q"}`), "ContainerName", "b, c")
}

// quiet is a log that says one line and then nothing more until it is closed.
type quiet struct {
	said   bool
	closed chan struct{}
	err    error
}

func (q *quiet) Read(p []byte) (int, error) {
	if !q.said {
		q.said = true
		return copy(p, "first line\n"), nil
	}
	<-q.closed
	return 0, q.err
}

func (q *quiet) Close() error {
	defer func() { _ = recover() }() // it is closed twice
	close(q.closed)
	return nil
}

func TestAFollowerGetsEachLineAtOnceAndALogThatNobodyReadsIsClosed(t *testing.T) {
	stream := &quiet{closed: make(chan struct{}), err: errors.New("closed")}
	given := make(chan (<-chan struct{}), 1)
	e := withLedger(t, pluginapi.Options{Logs: logs(func(ctx context.Context, _ pluginapi.LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error) {
		given <- ctx.Done()
		if !opts.Follow {
			return nil, errors.New("it was not asked to follow")
		}
		return stream, nil
	})})
	e.taken("p")
	e.submitted("p", "job-1")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/getLogs", strings.NewReader(`{"PodUID":"uid-p","Opts":{"Follow":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	line := make([]byte, len("first line\n"))
	if _, err := io.ReadFull(response.Body, line); err != nil || string(line) != "first line\n" {
		t.Fatalf("the first line did not come while the log went on: %v, %q", err, line)
	}
	leave()
	<-stream.closed
	<-<-given
}

func TestALogThatBreaksOffEndsTheAnswerAndIsLogged(t *testing.T) {
	e := withLedger(t, pluginapi.Options{Logs: logs(func(context.Context, pluginapi.LogJob, corev1.PodLogOptions) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("some\n"), broken{})), nil
	})})
	e.taken("p")
	e.submitted("p", "job-1")
	if got := e.call(http.MethodGet, "/getLogs", `{"PodUID":"uid-p"}`, pluginapi.SessionHeader, "GetLogs#1"); got.code != http.StatusOK || got.text != "some\n" {
		t.Errorf("%d %q", got.code, got.text)
	}
	if text := strings.Join(e.log.all(), "\n"); !strings.Contains(text, "the engine hung up") {
		t.Errorf("the log does not say why: %s", text)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the engine hung up") }
