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

package gate

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// minTokenBytes is how long a token must be: a short one can be guessed.
const minTokenBytes = 16

// Tokens are the bearer tokens of a file. They are kept as digests, so that they can be compared in the same time whatever they are.
type Tokens []tokenDigest

type tokenDigest [sha256.Size]byte

// ParseTokens reads tokens, one a line; empty lines and those that begin with # say nothing. A file may hold several, so that callers can
// change over from one to the next. One that holds none lets nobody in.
func ParseTokens(content []byte) (Tokens, error) {
	tokens := Tokens{}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		token := strings.TrimSpace(line)
		if token == "" || strings.HasPrefix(token, "#") {
			continue
		}
		if strings.ContainsAny(token, " \t") {
			return nil, fmt.Errorf("line %d: a token has no spaces", number)
		}
		if len(token) < minTokenBytes {
			return nil, fmt.Errorf("line %d: a token has %d characters at least", number, minTokenBytes)
		}
		tokens = append(tokens, sha256.Sum256([]byte(token)))
	}
	return tokens, nil
}

// find tells whether a token is one of them, and what the client is called that shows it. Each is looked at, whether one fits or not.
func (t Tokens) find(token string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range t {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], t[i][:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return "token " + hex.EncodeToString(digest[:4]), true
}
