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

// Package sweep answers for many jobs at once, where their directories are: what podrunner says of those that run, who has claimed them,
// and which are over. One process does it for all, and sends back only what is news.
package sweep

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// Request asks for one token. Requests come as lines of JSON.
type Request struct {
	Token string `json:"token"`
	// Sequence is that of the state that is known already; a state is sent back only where it is a later one.
	Sequence int64 `json:"sequence,omitempty"`
	// Claim asks who has the job, and Done whether it is over for ever.
	Claim bool `json:"claim,omitempty"`
	Done  bool `json:"done,omitempty"`
}

// Answer is what there is to say of a token. A token without news has none.
type Answer struct {
	Token string        `json:"token"`
	State *jobdir.State `json:"state,omitempty"`
	Claim *jobdir.Claim `json:"claim,omitempty"`
	// Done tells that the token is over for ever, and Missing that it has no directory.
	Done    bool `json:"done,omitempty"`
	Missing bool `json:"missing,omitempty"`
	// Error says what could not be read.
	Error string `json:"error,omitempty"`
}

// maxLine bounds a request.
const maxLine = 64 << 10

// Sweep answers the requests that come from in, each with at most one line of JSON.
func Sweep(base jobdir.Base, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if !jobdir.ValidToken(r.Token) {
			return fmt.Errorf("read a request: %q is no token", r.Token)
		}
		a := answer(base, r)
		if a == (Answer{Token: r.Token}) {
			continue
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the requests: %w", err)
	}
	return nil
}

func answer(base jobdir.Base, r Request) Answer {
	a := Answer{Token: r.Token}
	var errs []error
	dir := base.Job(r.Token)
	switch state, err := dir.ReadState(); {
	case err == nil && state.Sequence > r.Sequence:
		a.State = state
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		errs = append(errs, err)
	}
	if r.Claim {
		switch claim, err := dir.ReadClaim(); {
		case err == nil:
			a.Claim = &claim
		case errors.Is(err, fs.ErrNotExist):
			missing, err := dir.Missing()
			a.Missing = missing
			errs = append(errs, err)
		default:
			errs = append(errs, err)
		}
	}
	if r.Done {
		done, err := base.IsDone(r.Token)
		a.Done = done
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		a.Error = err.Error()
	}
	return a
}
