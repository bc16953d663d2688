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

// Package program hands programs to the machines they are to run on. They have megabytes, so they stay in their files until somebody
// needs them.
package program

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// Program is an executable file. It stays open, so its content is the same for as long as it is used, though another may get its name.
type Program struct {
	file *os.File
	size int64
	sum  [sha256.Size]byte
}

// Open opens the file of that name and reads it once, for its checksum.
func Open(name string) (*Program, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err == nil && size == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return &Program{file: file, size: size, sum: [sha256.Size]byte(hash.Sum(nil))}, nil
}

// Size is how many bytes it has.
func (p *Program) Size() int64 { return p.size }

// Sum is its SHA-256 checksum.
func (p *Program) Sum() [sha256.Size]byte { return p.sum }

// Reader reads it from its beginning. Each reader is for itself.
func (p *Program) Reader() io.Reader { return io.NewSectionReader(p.file, 0, p.size) }
