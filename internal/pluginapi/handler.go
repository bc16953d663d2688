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

package pluginapi

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
)

// SessionHeader traces one call of interLink through all its parts.
const SessionHeader = "InterLink-Http-Session"

// maxSessionBytes bounds what is taken of a session header into logs.
const maxSessionBytes = 128

// Options are what a Handler is made of.
type Options struct {
	Ledger Ledger
	Nodes  Nodes
	Logs   LogSource
	// Gate is asked about every call; nil lets all in.
	Gate Gate
	// MaxBodyBytes bounds the body of a request; 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Version of the operator, for /system-info.
	Version string
	// Refused, where set, is told of each pod that is refused before there is a RemoteJob which could tell why. It must not block.
	Refused func(pod v1alpha1.PodReference, reason, message string)
	// Log is where calls are logged.
	Log logr.Logger
	// Metrics count and time calls; nil for none.
	Metrics *metrics.Metrics
}

// handler answers calls at one address.
type handler struct {
	Options
	// backend is the backend of the address, empty where it has none.
	backend string
	routes  map[string]map[string]route
}

// route answers one kind of call. An error that it returns becomes the answer, so it must not have written anything then.
type route func(w http.ResponseWriter, r *http.Request) error

// NewHandler returns the handler of an address. backend is the RemoteBackend that the address speaks for, empty where it has none.
func NewHandler(opts Options, backend string) http.Handler {
	if opts.MaxBodyBytes <= 0 {
		opts.MaxBodyBytes = DefaultMaxBodyBytes
	}
	h := &handler{Options: opts, backend: backend}
	alive := methods(h.health, http.MethodGet, http.MethodHead)
	h.routes = map[string]map[string]route{
		"/create":       methods(h.create, http.MethodPost),
		"/delete":       methods(h.delete, http.MethodPost),
		"/status":       methods(h.status, http.MethodGet, http.MethodPost),
		"/getLogs":      methods(h.getLogs, http.MethodGet, http.MethodPost),
		"/health":       alive,
		"/healthz":      alive,
		"/readyz":       methods(h.ready, http.MethodGet, http.MethodHead),
		"/openapi.json": methods(h.openAPI, http.MethodGet, http.MethodHead),
		"/system-info":  methods(h.systemInfo, http.MethodGet, http.MethodHead),
	}
	return h
}

func methods(answer route, names ...string) map[string]route {
	out := make(map[string]route, len(names))
	for _, name := range names {
		out[name] = answer
	}
	return out
}

// ServeHTTP answers a call, whatever happens on the way: interLink sends none of them again.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	logger := h.Log.WithValues("call", r.Method+" "+h.known(r.URL.Path))
	if session := sessionOf(r); session != "" {
		w.Header().Set(SessionHeader, r.Header.Get(SessionHeader))
		logger = logger.WithValues("session", session)
	}
	traced, endSpan := tracing.Span(tracing.Extract(r.Context(), r.Header), h.known(r.URL.Path), trace.SpanKindServer, "interlink.session", sessionOf(r))
	ctx, subject := withSubject(log.IntoContext(traced, logger))
	r = r.WithContext(ctx)
	recorded := &recorder{ResponseWriter: w}
	// The bound of the answer before, on the same connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	defer func() {
		h.Metrics.Answered(h.measuredAs(r.URL.Path, subject), strconv.Itoa(recorded.code), recorded.began(started))
	}()
	defer func() {
		if cause := recover(); cause != nil {
			logger.Error(nil, "the call made the operator panic", "cause", cause, "stack", string(debug.Stack()))
			if recorded.code == 0 {
				writeError(recorded, r, errPanicked)
			}
		}
	}()
	err := h.admit(r)
	if err == nil {
		err = h.dispatch(recorded, r)
	}
	subject.tell(ctx)
	endSpan(err)
	took := time.Since(started)
	if err == nil {
		if !changesSomething(r.URL.Path) {
			logger = logger.V(1)
		}
		if logger.Enabled() {
			logger.Info("answered", append([]any{"code", recorded.code, "took", took.String()}, subject.values(h.Ledger)...)...)
		}
		return
	}
	code := writeError(recorded, r, err)
	_, reason, message := statusOf(err)
	values := append([]any{"code", code, "reason", reason, "message", oneLine(message), "took", took.String()}, subject.values(h.Ledger)...)
	if own, ok := ledger.AsError(err); ok && own.Err != nil {
		values = append(values, "cause", own.Err.Error())
	}
	if code == http.StatusInternalServerError {
		logger.Error(err, "the call failed", values...)
		return
	}
	if r.URL.Path == "/readyz" || code == http.StatusTooManyRequests {
		logger = logger.V(1) // it is asked every other second until it says yes; who calls too often is not to fill the log
	}
	logger.Info("the call is refused", values...)
	if pod, ok := subject.refused(r.URL.Path, err); ok && h.Refused != nil {
		h.Refused(pod, reason, oneLine(message))
	}
}

var errPanicked = &httpError{
	code: http.StatusInternalServerError, reason: "Internal", message: "the operator failed on this request; its log says more",
}

// sessionOf is the name of a call, as far as it goes into logs.
func sessionOf(r *http.Request) string {
	session := r.Header.Get(SessionHeader)
	return strings.ToValidUTF8(session[:min(len(session), maxSessionBytes)], "")
}

// changesSomething tells the calls that begin or end a pod from those that only ask.
func changesSomething(path string) bool { return path == "/create" || path == "/delete" }

// measuredAs is what a call counts as in metrics: a ping is asked as a status and is none.
func (h *handler) measuredAs(path string, subject *subject) string {
	switch {
	case subject.ping:
		return "ping"
	case h.routes[path] == nil:
		return "other"
	}
	return path[1:]
}

// known returns a path for logs: those that are served, and one word for all others.
func (h *handler) known(path string) string {
	if h.routes[path] == nil {
		return "(unknown path)"
	}
	return path
}

func (h *handler) admit(r *http.Request) error {
	if h.Gate == nil {
		return nil
	}
	return h.Gate.Admit(r)
}

func (h *handler) dispatch(w http.ResponseWriter, r *http.Request) error {
	byMethod := h.routes[r.URL.Path]
	if byMethod == nil {
		return &httpError{code: http.StatusNotFound, reason: "NotFound", message: "there is nothing at this path: /openapi.json lists what there is"}
	}
	answer := byMethod[r.Method]
	if answer == nil {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if byMethod[method] != nil {
				allowed = append(allowed, method)
			}
		}
		return &httpError{
			code: http.StatusMethodNotAllowed, reason: "MethodNotAllowed", allow: strings.Join(allowed, ", "),
			message: r.URL.Path + " takes " + strings.Join(allowed, " or "),
		}
	}
	return answer(w, r)
}

// recorder notes the status of an answer, and when it began.
type recorder struct {
	http.ResponseWriter
	code int
	at   time.Time
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code, r.at = code, time.Now()
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.code, r.at = http.StatusOK, time.Now()
	}
	return r.ResponseWriter.Write(p)
}

// began is how long after a time the answer began: a log that is followed goes on for hours.
func (r *recorder) began(after time.Time) time.Duration {
	if r.code == 0 {
		return time.Since(after)
	}
	return r.at.Sub(after)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// writeTimeout is how long a whole answer, or a piece of a log, may take to be taken. A reader of a log may pause for a while: kubectl does
// when nobody scrolls on.
const (
	writeTimeout    = time.Minute
	logWriteTimeout = 10 * time.Minute
)

// write sends a whole answer.
func write(w http.ResponseWriter, code int, contentType string, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	// A caller that is gone hears nothing more; what it asked for is done or not done all the same.
	_, _ = w.Write(body)
}

func writeJSON(w http.ResponseWriter, body []byte) error {
	write(w, http.StatusOK, "application/json", body)
	return nil
}
