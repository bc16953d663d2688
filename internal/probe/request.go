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

package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

const (
	// maxRequest bounds one request, newline included.
	maxRequest = 1 << 20
	// maxMessage bounds what an answer says in words.
	maxMessage = 1 << 10
)

// Request is one question to ask over the network. It travels as one line of JSON; one of HTTP, TCP and GRPC is set, or Cancel.
type Request struct {
	// ID joins answers to requests.
	ID uint64 `json:"id,omitempty"`
	// Cancel says that the request of this ID is not waited for any more.
	Cancel bool `json:"cancel,omitempty"`
	// Timeout of the whole, none where zero; nanoseconds on the wire.
	Timeout time.Duration `json:"timeout,omitempty"`
	HTTP    *HTTPRequest  `json:"http,omitempty"`
	TCP     *TCPRequest   `json:"tcp,omitempty"`
	GRPC    *GRPCRequest  `json:"grpc,omitempty"`
}

// HTTPRequest is a GET.
type HTTPRequest struct {
	URL string `json:"url"`
	// Header as it is sent; Host in it names the virtual host.
	Header http.Header `json:"header,omitempty"`
	// H2C asks for HTTP/2 without TLS.
	H2C bool `json:"h2c,omitempty"`
	// Hook is set for a lifecycle hook: any answer at all is a success, and HTTPS falls back to HTTP where that is what answers.
	Hook bool `json:"hook,omitempty"`
}

// TCPRequest opens a connection.
type TCPRequest struct {
	Address string `json:"address"`
}

// GRPCRequest asks the health service (grpc.health.v1).
type GRPCRequest struct {
	Address string `json:"address"`
	Service string `json:"service,omitempty"`
	TLS     bool   `json:"tls,omitempty"`
}

// Answer is what came of a request.
type Answer struct {
	ID uint64 `json:"id,omitempty"`
	// Result is Success, Failure, or Unknown where the question could not be asked: then it does not count.
	Result podlifecycle.Result `json:"result"`
	// Message says in words why not, or what is odd about a success. It never holds a header or a body.
	Message string `json:"message,omitempty"`
}

func success() Answer { return Answer{Result: podlifecycle.Success} }

func failure(format string, args ...any) Answer {
	return Answer{Result: podlifecycle.Failure, Message: cut(fmt.Sprintf(format, args...))}
}

func unknown(format string, args ...any) Answer {
	return Answer{Result: podlifecycle.Unknown, Message: cut(fmt.Sprintf(format, args...))}
}

// decodeRequest reads one line. A request that comes with an error is good for its ID only.
func decodeRequest(line []byte) (*Request, error) {
	var r Request
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return &r, fmt.Errorf("read the request: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &r, errors.New("read the request: more than one value in a line")
	}
	return &r, r.check()
}

func (r *Request) check() error {
	if r.Cancel {
		return nil
	}
	if r.Timeout < 0 {
		return errors.New("the timeout is negative")
	}
	set := 0
	if r.HTTP != nil {
		set++
		u, err := url.Parse(r.HTTP.URL)
		if err != nil {
			return fmt.Errorf("http.url: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return errors.New("http.url names no host or neither http nor https")
		}
	}
	if r.TCP != nil {
		set++
		if _, _, err := net.SplitHostPort(r.TCP.Address); err != nil {
			return fmt.Errorf("tcp.address: %w", err)
		}
	}
	if r.GRPC != nil {
		set++
		if _, _, err := net.SplitHostPort(r.GRPC.Address); err != nil {
			return fmt.Errorf("grpc.address: %w", err)
		}
	}
	if set != 1 {
		return errors.New("the request must name one of http, tcp and grpc")
	}
	return nil
}

// cut bounds a message and makes it valid UTF-8.
func cut(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
