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
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const (
	// bodyTimeout is how long the body of a request may take to arrive.
	bodyTimeout = 30 * time.Second
	// drainBytes is how much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
	drainBytes = 64 << 20
	// keepBytes is the largest buffer that is kept for the next request.
	keepBytes = 1 << 20
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readBody reads the body of a request and calls use with it. The body must not be kept.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request, use func(body []byte) error) error {
	if r.ContentLength > h.MaxBodyBytes && r.Header.Get("Expect") != "" {
		return h.tooLarge()
	}
	connection := http.NewResponseController(w)
	// Where the connection has no deadlines (in a test's recorder), the server's own ones hold.
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout))
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer func() {
		if buffer.Cap() <= keepBytes {
			buffers.Put(buffer)
		}
	}()
	_, err := buffer.ReadFrom(io.LimitReader(r.Body, h.MaxBodyBytes+1))
	tooLarge := int64(buffer.Len()) > h.MaxBodyBytes
	if tooLarge && err == nil {
		_, err = io.CopyN(io.Discard, r.Body, drainBytes)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	_ = connection.SetReadDeadline(time.Time{})
	switch {
	case tooLarge:
		return h.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &httpError{code: http.StatusRequestTimeout, reason: "Timeout", message: fmt.Sprintf("the body did not arrive within %s", bodyTimeout)}
	case err != nil:
		return badRequest("Incomplete", "the body did not arrive whole")
	}
	return use(buffer.Bytes())
}

func (h *handler) tooLarge() error {
	return &httpError{
		code: http.StatusRequestEntityTooLarge, reason: ledger.ReasonTooLarge,
		message: fmt.Sprintf("the body is larger than the %d bytes that are taken", h.MaxBodyBytes),
	}
}

// malformed turns an error of a decoder into an answer. Decoders quote what they choke on, and that may be a secret, so only where and
// what kind of thing it is gets told.
func malformed(err error) error {
	var (
		syntax *strictjson.SyntaxError
		kind   *strictjson.TypeError
	)
	switch {
	case errors.As(err, &kind) && kind.Unknown:
		return unknownField(kind.Field)
	case errors.As(err, &syntax), errors.As(err, &kind):
		return badRequest("Malformed", err.Error())
	}
	return badRequest("Malformed", "the body can't be decoded: a field has a value that it can't hold")
}

// unknownField says what is wrong with a field that only newer versions know.
func unknownField(field string) error {
	return badRequest(workload.ReasonUnsupported, field+" is a field that this version of the operator does not know")
}
