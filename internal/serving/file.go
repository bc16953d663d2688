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

// Package serving is what stands between a network and a handler: where a server listens, how many may connect, and the files of
// certificates and tokens, which are read again when they change.
package serving

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// lookEvery is how long a file may have changed unnoticed. It is looked at when its content is needed, and not more often than that.
const lookEvery = time.Second

// File is what a file says, and follows the file. A change that can't be read leaves what was read before: a file may be half written.
type File[T any] struct {
	path  string
	log   logr.Logger
	parse func(content []byte) (T, error)

	mu      sync.Mutex
	looked  time.Time
	content []byte
	value   T
	problem string
}

// NewFile reads a file. Its content must be good at the start.
func NewFile[T any](path string, log logr.Logger, parse func(content []byte) (T, error)) (*File[T], error) {
	f := &File[T]{path: path, log: log, parse: parse}
	err := f.read()
	return f, err
}

// Get returns what the file says now.
func (f *File[T]) Get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookEvery {
		err := f.read()
		if err == nil {
			f.problem = ""
		} else if words := err.Error(); words != f.problem {
			f.problem = words
			f.log.Error(err, "a file can't be read again; what it said before still holds", "file", f.path)
		}
	}
	return f.value
}

func (f *File[T]) read() error {
	content, err := os.ReadFile(f.path)
	f.looked = time.Now()
	if err != nil {
		return err
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		return nil
	}
	value, err := f.parse(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	if f.content != nil {
		f.log.Info("a file has changed, and what it says now holds", "file", f.path)
	}
	f.content, f.value = append([]byte{}, content...), value
	return nil
}

// ParseCertificates reads the certificates of authorities.
func ParseCertificates(content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("there is no certificate in it")
	}
	return pool, nil
}
