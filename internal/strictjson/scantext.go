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

package strictjson

import "encoding/json"

// plain holds the bytes that stand for themselves in a string.
var plain = func() (table [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// token consumes a string and returns it with its quotes; simple tells that what is between them is the string itself.
func (s *Scanner) token() (raw []byte, simple bool, err error) {
	if err := s.take('"'); err != nil {
		return nil, false, err
	}
	start, data, pos := s.pos-1, s.data, s.pos
	simple = true
	for {
		for pos < len(data) && plain[data[pos]] {
			pos++
		}
		if s.pos = pos; pos >= len(data) {
			return nil, false, s.fail()
		}
		switch c := data[pos]; {
		case c == '"':
			s.pos = pos + 1
			return data[start:s.pos], simple, nil
		case c == '\\':
			s.pos++
			if err := s.escape(); err != nil {
				return nil, false, err
			}
			simple, pos = false, s.pos
		case c < 0x20:
			return nil, false, s.fail()
		default: // beyond ASCII: it may need repair
			simple = false
			pos++
		}
	}
}

func (s *Scanner) escape() error {
	if s.pos >= len(s.data) {
		return s.fail()
	}
	c := s.data[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			if s.pos >= len(s.data) || !isHex(s.data[s.pos]) {
				return s.fail()
			}
			s.pos++
		}
		return nil
	}
	s.pos--
	return s.fail()
}

func isHex(c byte) bool {
	return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

// key consumes the key of a member. What it returns is valid until the next call.
func (s *Scanner) key() ([]byte, error) {
	raw, simple, err := s.token()
	if err != nil {
		return nil, err
	}
	if simple {
		return raw[1 : len(raw)-1], nil
	}
	decoded, err := decodeString(raw)
	return []byte(decoded), err
}

// Text consumes a string value, or null for an empty one. field names it in errors.
func (s *Scanner) Text(field string) (string, error) {
	if null, err := s.Null(); null || err != nil {
		return "", err
	}
	if s.Peek() != '"' {
		if err := s.Skip(); err != nil {
			return "", err
		}
		return "", &TypeError{Field: field, Want: "a string"}
	}
	raw, simple, err := s.token()
	if err != nil {
		return "", err
	}
	if simple {
		return string(raw[1 : len(raw)-1]), nil
	}
	return decodeString(raw)
}

func decodeString(raw []byte) (string, error) {
	var out string
	if err := json.Unmarshal(raw, &out); err != nil {
		return "", &SyntaxError{}
	}
	return out, nil
}
