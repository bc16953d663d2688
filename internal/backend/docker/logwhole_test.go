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

package docker

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// messages are a log that is told by words of a time and a text. An empty one is cut off in its middle.
type messages []string

func (m *messages) next() (frame, error) {
	if len(*m) == 0 {
		return frame{}, io.EOF
	}
	if (*m)[0] == "" {
		return frame{}, io.ErrUnexpectedEOF
	}
	f := frame{stream: 1, data: []byte((*m)[0] + "\n")}
	*m = (*m)[1:]
	return f, nil
}

func TestAFollowedLogThatIsCutShortIsReadToItsEnd(t *testing.T) {
	whole := messages{"1 a", "2 b", "2 c", "2 d", "3 e"}
	for cut := range len(whole) + 1 {
		for _, how := range []string{"between two messages", "in a message", "and the engine is away"} {
			followed, away := append(messages(nil), whole[:cut]...), how == "and the engine is away"
			if how == "in a message" {
				followed = append(followed, "")
			}
			asked := 0
			reader := &lineReader{frames: &wholeFrames{followed: &followed, rest: func(since string) (frames, error) {
				asked++
				if away {
					return nil, errors.New("the engine is away")
				}
				var rest messages
				for _, m := range whole {
					if m[:1] >= since {
						rest = append(rest, m)
					}
				}
				return &rest, nil
			}}}
			got, err := io.ReadAll(reader)
			want := "abcde"
			if away {
				want = want[:cut]
			}
			if text := strings.ReplaceAll(string(got), "\n", ""); err != nil || text != want || asked != 1 {
				t.Errorf("cut after %d, %s: got %q, %v, after %d questions; want %q", cut, how, text, err, asked, want)
			}
		}
	}
}
