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
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

// filled is JSON that takes so many bytes.
func filled(bytes int) string {
	const head, tail = `[{"metadata":{"uid":"`, `"}}]`
	return head + strings.Repeat("u", bytes-len(head)-len(tail)) + tail
}

func TestABodyIsTakenUpToItsBound(t *testing.T) {
	unread := failing{ledger.Errorf(ledger.Unavailable, ledger.ReasonNotSynced, "the ledger has not been read yet")}
	for _, tt := range []struct {
		name  string
		bound int64
		size  int
		code  int
	}{
		{"one as large as may be", 0, 16 << 20, http.StatusServiceUnavailable},
		{"one larger than may be", 0, 16<<20 + 1, http.StatusRequestEntityTooLarge},
		{"a much larger one", 0, 40 << 20, http.StatusRequestEntityTooLarge},
		{"one of a bound of its own", 1 << 10, 1<<10 + 1, http.StatusRequestEntityTooLarge},
		{"one just within that", 1 << 10, 1 << 10, http.StatusServiceUnavailable},
	} {
		e := serve(t, pluginapi.Options{Ledger: unread, MaxBodyBytes: tt.bound}, "")
		for _, path := range []string{"/create", "/status", "/delete", "/getLogs"} {
			if tt.code != http.StatusRequestEntityTooLarge && path != "/status" && path != "/delete" {
				continue // such a body means nothing there
			}
			got := e.call(http.MethodPost, path, filled(tt.size))
			if got.code != tt.code {
				t.Errorf("%s to %s: %d %s", tt.name, path, got.code, got.text)
			}
			if tt.code == http.StatusRequestEntityTooLarge {
				e.wantRefusal(got, "larger than")
			}
		}
	}
}

// raw sends bytes over a connection of its own and returns the status and text of the answer.
func (e *endpoint) raw(head string, body io.Reader) (code int, answer string) {
	e.t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = connection.Close() })
	if _, err := io.WriteString(connection, head); err != nil {
		e.t.Fatal(err)
	}
	if body != nil {
		_, _ = io.Copy(connection, body)
		_ = connection.(*net.TCPConn).CloseWrite()
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestABodyThatIsAnnouncedTooLargeIsNotAskedFor(t *testing.T) {
	e := serve(t, pluginapi.Options{}, "")
	code, text := e.raw("POST /create HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", nil)
	if code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", code, text)
	}
}

func TestABodyThatDoesNotArriveWholeIsNoPod(t *testing.T) {
	e := serve(t, pluginapi.Options{}, "")
	for name, call := range map[string]struct{ head, body string }{
		"fewer bytes than were announced": {"Content-Length: 100", `{"pod":{}}`},
		"chunks that break off":           {"Transfer-Encoding: chunked", "a\r\n{\"pod\":{}}\r\n"},
		"chunks that are none":            {"Transfer-Encoding: chunked", "zz\r\n{}"},
	} {
		code, text := e.raw("POST /create HTTP/1.1\r\nHost: x\r\n"+call.head+"\r\n\r\n", strings.NewReader(call.body))
		if code != http.StatusBadRequest || !strings.Contains(text, "did not arrive whole") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	whole := "{\"pod\":7}"
	code, text := e.raw("POST /create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", strings.NewReader(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(whole), whole)))
	if code != http.StatusBadRequest || !strings.Contains(text, "pod must be an object") {
		t.Errorf("chunks that are whole: %d %s", code, text)
	}
}

// talking is a ledger that logs with what the call's context gives it.
type talking struct{ failing }

func (talking) Create(ctx context.Context, _ []ledger.CreateRequest) ([]ledger.Created, error) {
	log.FromContext(ctx).Info("the ledger says something")
	return nil, ledger.Errorf(ledger.Refused, ledger.ReasonRefused, "it is refused")
}

func TestTheSessionOfACallComesBackAndIsInEachLineOfTheLogAboutIt(t *testing.T) {
	e := serve(t, pluginapi.Options{Ledger: talking{failing{ledger.Errorf(ledger.NotFound, ledger.ReasonNotFound, "there is nothing")}}}, "")
	for i, header := range []string{"InterLink-Http-Session", "Interlink-Http-Session", "interlink-http-session"} {
		session := fmt.Sprintf("CreatePod#8241%d", i)
		before := len(e.log.all())
		answers := e.calls(header, session)
		answers["a ping"] = e.call(http.MethodGet, "/status", "[]", header, session)
		answers["/health"] = e.call(http.MethodGet, "/health", "", header, session)
		answers["no path"] = e.call(http.MethodGet, "/nowhere", "", header, session)
		answers["no JSON"] = e.call(http.MethodPost, "/create", "{", header, session)
		for path, got := range answers {
			if got.header.Get(pluginapi.SessionHeader) != session {
				t.Errorf("%s: the answer's session is %q", path, got.header.Get(pluginapi.SessionHeader))
			}
		}
		lines := e.log.all()[before:]
		if len(lines) < len(answers)+1 {
			t.Errorf("%d lines are logged about %d calls", len(lines), len(answers))
		}
		for _, line := range lines {
			if !strings.Contains(line, `"session"="`+session+`"`) {
				t.Errorf("a line does not hold the session: %s", line)
			}
		}
	}
	if got := e.call(http.MethodGet, "/health", ""); len(got.header.Values(pluginapi.SessionHeader)) != 0 {
		t.Error("a call without a session is answered with one")
	}
	long := strings.Repeat("é", 500)
	if got := e.call(http.MethodGet, "/health", "", pluginapi.SessionHeader, long); got.header.Get(pluginapi.SessionHeader) != long {
		t.Error("a long session does not come back as it was")
	}
	last := e.log.all()[len(e.log.all())-1]
	if len(last) > 500 || strings.Contains(last, `\x`) {
		t.Errorf("a long session fills the log: %s", last)
	}
}
