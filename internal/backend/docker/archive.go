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
	"archive/tar"
	"bytes"
	"io"
	"time"
)

// archive is what a tar archive is to hold. Its times are 0, so that the same entries give the same bytes.
type archive []tarEntry

// tarEntry is a file or directory of an archive.
type tarEntry struct {
	name     string
	mode     int64
	uid, gid int
	dir      bool
	data     []byte
	// size and write are for a file that is not held in memory.
	size  int64
	write func(io.Writer) error
}

// read makes the archive while it is read. Who does not read it to its end closes it.
func (a archive) read() io.ReadCloser {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(a.writeTo(w)) }()
	return r
}

func (a archive) writeTo(to io.Writer) error {
	w := tar.NewWriter(to)
	for _, e := range a {
		header := &tar.Header{
			Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: int64(len(e.data)),
			Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
		}
		if e.write != nil {
			header.Size = e.size
		}
		if e.dir {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if e.write != nil {
			if err := e.write(w); err != nil {
				return err
			}
		}
		if _, err := w.Write(e.data); err != nil {
			return err
		}
	}
	return w.Close()
}

// tarOf makes an archive of entries.
func tarOf(entries []tarEntry) ([]byte, error) {
	var buffer bytes.Buffer
	if err := archive(entries).writeTo(&buffer); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
