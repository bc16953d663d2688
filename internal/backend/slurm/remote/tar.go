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

package remote

import (
	"archive/tar"
	"io"
	"sync"
)

// TarWriter writes the archive of an upload.
type TarWriter struct{ archive *tar.Writer }

func newTarWriter(w io.Writer) *TarWriter { return &TarWriter{archive: tar.NewWriter(w)} }

// Dir adds a directory; name is relative.
func (t *TarWriter) Dir(name string, mode int64) error {
	return t.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

// File adds a file; name is relative, and its directory must have been added.
func (t *TarWriter) File(name string, mode int64, content []byte) error {
	if err := t.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := t.archive.Write(content)
	return err
}

// seal ends the archive with the file that says that it is whole.
func (t *TarWriter) seal() error {
	if err := t.File(seal, 0o600, nil); err != nil {
		return err
	}
	return t.archive.Close()
}

// pipeReader reads what a function writes, and remembers the function's error: to whoever reads it is the end of the stream, since no
// command should wait for more.
type pipeReader struct {
	*io.PipeReader
	mu  sync.Mutex
	err error
}

func pipe(write func(w io.Writer) error) *pipeReader {
	r, w := io.Pipe()
	p := &pipeReader{PipeReader: r}
	go func() {
		if err := write(w); err != nil && err != io.ErrClosedPipe { //nolint:errorlint // io.Pipe gives it as it is
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
		}
		_ = w.Close()
	}()
	return p
}

// Failed is the function's own error.
func (p *pipeReader) Failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
