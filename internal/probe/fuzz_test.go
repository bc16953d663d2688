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
	"errors"
	"io"
	"strings"
	"testing"
)

// scriptedConn says what it was given, and takes whatever is said to it.
type scriptedConn struct{ io.Reader }

func (scriptedConn) Write(p []byte) (int, error) { return len(p), nil }
func (scriptedConn) Close() error                { return nil }

// FuzzSessionAnswers lets anything come for answers. A question gets one of them, or is told that the session has ended.
func FuzzSessionAnswers(f *testing.F) {
	f.Add(`{"id":1,"result":1}` + "\n")
	f.Add(`{"id":2,"message":"x"}` + "\n" + `{"id":1}` + "\n" + `{"id":1}`)
	f.Add("{}\nnull\n[]\n")
	f.Add(strings.Repeat("x", 100))
	f.Fuzz(func(t *testing.T, text string) {
		asked, script := io.Pipe()
		s := NewSession(scriptedConn{asked})
		go func() {
			_, _ = io.WriteString(script, text)
			_ = script.Close()
		}()
		_, err := s.Ask(t.Context(), Request{TCP: &TCPRequest{Address: "127.0.0.1:1"}})
		if err != nil && !errors.Is(err, ErrSessionEnded) {
			t.Fatalf("%q: %v", text, err)
		}
		s.Close()
		_ = asked.Close()
	})
}
