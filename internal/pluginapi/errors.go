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
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// maxMessageBytes bounds what is told of an error: interLink puts it into the pod's status.
const maxMessageBytes = 2048

// httpError is an error that has an HTTP status of its own.
type httpError struct {
	code            int
	reason, message string
	// allow are the methods that a 405 names.
	allow string
}

func (e *httpError) Error() string { return e.message }

// Denied says that a call is not let in, and why.
type Denied struct {
	// Code is the HTTP status, Reason one word, Message one plain sentence.
	Code            int
	Reason, Message string
	// RetryAfter is when to try again, where that may help.
	RetryAfter time.Duration
}

func (e *Denied) Error() string { return e.Message }

// headers are what an answer says beside the sentence.
func (e *Denied) headers(header http.Header) {
	if e.Code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="remotejob"`)
		// Nobody keeps a connection who has nothing to say.
		header.Set("Connection", "close")
	}
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
}

func badRequest(reason, message string) error {
	return &httpError{code: http.StatusBadRequest, reason: reason, message: message}
}

// statusOf maps what went wrong to an HTTP status. There is no 5xx but for a ledger that can't be read or written now, and for our own
// faults.
func statusOf(err error) (code int, reason, message string) {
	var own *httpError
	if errors.As(err, &own) {
		return own.code, own.reason, own.message
	}
	var denied *Denied
	if errors.As(err, &denied) {
		return denied.Code, denied.Reason, denied.Message
	}
	e, ok := ledger.AsError(err)
	if !ok {
		return http.StatusInternalServerError, "Internal", "the operator failed on this request; its log says more"
	}
	switch e.Kind {
	case ledger.Invalid:
		code = http.StatusBadRequest
	case ledger.Refused:
		code = http.StatusUnprocessableEntity
	case ledger.Conflict:
		code = http.StatusConflict
	case ledger.NotFound:
		code = http.StatusNotFound
	case ledger.Unavailable:
		code = http.StatusServiceUnavailable
	default:
		code = http.StatusInternalServerError
	}
	return code, e.Reason, e.Message
}

// writeError answers with one plain sentence, or with JSON where the caller asks for that.
func writeError(w http.ResponseWriter, r *http.Request, err error) (code int) {
	code, reason, message := statusOf(err)
	message = oneLine(message)
	var own *httpError
	if errors.As(err, &own) && own.allow != "" {
		w.Header().Set("Allow", own.allow)
	}
	var denied *Denied
	if errors.As(err, &denied) {
		denied.headers(w.Header())
	}
	body, contentType := []byte(typeset(message)), "text/plain; charset=utf-8"
	if asksForJSON(r) {
		var out struct {
			Error struct {
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"error"`
		}
		out.Error.Reason, out.Error.Message = reason, message
		if encoded, err := json.Marshal(out); err == nil {
			body, contentType = encoded, "application/json"
		}
	}
	write(w, code, contentType, body)
	return code
}

// asksForJSON tells whether the caller names JSON among what it takes; that it takes anything is no reason to send any.
func asksForJSON(r *http.Request) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), "application/json")
}

// typeset gives a sentence the quotation marks of print: interLink escapes those of ASCII for HTML before it shows the sentence, and a
// person would read of &#34;gpu&#34;.
func typeset(message string) string {
	var out strings.Builder
	open := false
	for _, r := range message {
		switch r {
		case '"':
			if r = '“'; open {
				r = '”'
			}
			open = !open
		case '\'':
			r = '’'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// oneLine makes a message fit for the one line that it becomes in a pod's status.
func oneLine(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessageBytes {
		message = strings.ToValidUTF8(message[:maxMessageBytes], "") + "…"
	}
	return message
}
