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

// Package strictjson walks through JSON before or instead of encoding/json: to pick a few names out of much, and to tell in words, without
// quoting what may be a secret, which field can't be decoded.
package strictjson

import "fmt"

// maxDepth bounds how deep values may be nested, as encoding/json does.
const maxDepth = 10000

// Scanner walks through JSON and lets its user pick what is needed. It checks the syntax of everything and decodes nothing else. Its
// errors quote nothing of the text.
type Scanner struct {
	data  []byte
	pos   int
	depth int
}

// SyntaxError is where a text stops being JSON.
type SyntaxError struct{ Offset int }

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("the body is not valid JSON at byte %d", e.Offset)
}

// TypeError is a field that holds something else than it should, or that should not be there at all.
type TypeError struct {
	Field, Want string
	Unknown     bool
}

func (e *TypeError) Error() string {
	if e.Unknown {
		return e.Field + " is not known"
	}
	return fmt.Sprintf("%s must be %s", e.Field, e.Want)
}

// Scan starts at the beginning of a text.
func Scan(text []byte) *Scanner { return &Scanner{data: text} }

func (s *Scanner) fail() error { return &SyntaxError{Offset: s.pos} }

// Peek returns the first byte of the next token, 0 at the end.
func (s *Scanner) Peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// End fails if anything but space is left.
func (s *Scanner) End() error {
	if s.Peek() != 0 || s.pos < len(s.data) {
		return s.fail()
	}
	return nil
}

func (s *Scanner) take(c byte) error {
	if s.Peek() != c {
		return s.fail()
	}
	s.pos++
	return nil
}

func (s *Scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.fail()
	}
	return nil
}

// Object walks through an object. member is called at each value with its key and must consume it.
func (s *Scanner) Object(member func(key []byte) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		switch s.Peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			s.depth--
			return nil
		default:
			return s.fail()
		}
	}
}

// Array walks through an array. element is called at each value and must consume it.
func (s *Scanner) Array(element func() error) error {
	if err := s.take('['); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.Peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			s.depth--
			return nil
		default:
			return s.fail()
		}
	}
}

// Null consumes a null, if there is one.
func (s *Scanner) Null() (bool, error) {
	if s.Peek() != 'n' {
		return false, nil
	}
	return true, s.literal("null")
}

// Members walks through an object, as Object does, that may be null. field names it in errors.
func (s *Scanner) Members(field string, member func(key []byte) error) error {
	if null, err := s.Null(); null || err != nil {
		return err
	}
	if s.Peek() != '{' {
		if err := s.Skip(); err != nil {
			return err
		}
		return &TypeError{Field: field, Want: "an object"}
	}
	return s.Object(member)
}

// Raw consumes any value and returns its text.
func (s *Scanner) Raw() ([]byte, error) {
	s.Peek()
	start := s.pos
	if err := s.Skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos], nil
}

// Skip consumes any value.
func (s *Scanner) Skip() error {
	switch c := s.Peek(); {
	case c == '{':
		return s.Object(func([]byte) error { return s.Skip() })
	case c == '[':
		return s.Array(s.Skip)
	case c == '"':
		_, _, err := s.token()
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || isDigit(c):
		return s.number()
	}
	return s.fail()
}

func (s *Scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail()
	}
	s.pos += len(word)
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (s *Scanner) digits() error {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return s.fail()
	}
	return nil
}

func (s *Scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *Scanner) number() error {
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.at('.') {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		return s.digits()
	}
	return nil
}
