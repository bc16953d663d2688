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

// Package crilog writes and reads the logs of containers in the format of the Kubernetes container runtime interface: a record a line,
// with its time, its stream, and whether a line of the container goes on in the next record. Logs are rotated, and they give way where
// the file system is full: what a container does must not depend on whether its words can be kept.
//
// The reader is an own one and not k8s.io/cri-client/pkg/logs, since that waits for a log to grow by inotify, which tells nothing of what
// another machine writes to a shared file system, and takes rotated parts for another log.
package crilog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// Defaults are the kubelet's.
const (
	DefaultMaxBytes = 10 << 20
	DefaultMaxFiles = 5
)

const (
	// maxRecord is how much of a line goes into one record.
	maxRecord = 16 << 10
	// readSize is how much is taken from a container at once.
	readSize = 64 << 10
	// retryFull is how long a log on a full file system is left alone.
	retryFull = 2 * time.Second
	// timeFormat of a record: of a fixed width, so that records sort.
	timeFormat = "2006-01-02T15:04:05.000000000Z07:00"
)

// Log is one that is being written. Its methods may be called from many goroutines.
type Log struct {
	path     string
	maxBytes int64
	maxFiles int
	now      func() time.Time

	mu   sync.Mutex
	file *os.File
	size int64
	// lost is how many bytes of the container could not be kept since the file system became full; full is when that was last seen.
	lost int64
	full time.Time
	err  error
}

// Create begins a log. now is the clock of its records.
func Create(path string, limits jobdir.LogLimits, now func() time.Time) (*Log, error) {
	l := &Log{path: path, maxBytes: limits.MaxBytes, maxFiles: limits.MaxFiles, now: now}
	if l.maxBytes <= 0 {
		l.maxBytes = DefaultMaxBytes
	}
	if l.maxFiles <= 0 {
		l.maxFiles = DefaultMaxFiles
	}
	if err := makeDir(filepath.Dir(path)); err != nil && !jobdir.IsFull(err) {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	if err := l.open(); err != nil && !jobdir.IsFull(err) {
		return nil, err
	}
	return l, nil
}

// makeDir makes a container's directory of logs and the one above it. What is above that is the job's: where it is gone, since the job was
// cancelled, it must not come back.
func makeDir(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, jobdir.DirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (l *Log) open() error {
	if err := makeDir(filepath.Dir(l.path)); err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, jobdir.FileMode)
	if err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("make a log: %w", err)
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Copy writes what comes from a stream (stdout or stderr) until it ends.
func (l *Log) Copy(stream string, r io.Reader) {
	buf := make([]byte, readSize)
	for {
		n, err := r.Read(buf)
		at := l.now()
		data := buf[:n]
		var records bytes.Buffer
		words := 0
		for {
			end := bytes.IndexByte(data, '\n')
			switch {
			case end >= 0 && end <= maxRecord:
				record(&records, at, stream, true, data[:end])
				words += end + 1
				data = data[end+1:]
				continue
			case len(data) >= maxRecord:
				record(&records, at, stream, false, data[:maxRecord])
				words += maxRecord
				data = data[maxRecord:]
				continue
			}
			break
		}
		if len(data) > 0 {
			// The line may go on; it is written at once all the same, so that whoever follows sees a prompt.
			record(&records, at, stream, false, data)
			words += len(data)
		}
		if records.Len() > 0 {
			l.append(records.Bytes(), words, at)
		}
		if err != nil {
			return
		}
	}
}

func record(b *bytes.Buffer, at time.Time, stream string, full bool, data []byte) {
	tag := " P "
	if full {
		tag = " F "
	}
	b.WriteString(at.UTC().Format(timeFormat))
	b.WriteByte(' ')
	b.WriteString(stream)
	b.WriteString(tag)
	b.Write(data)
	b.WriteByte('\n')
}

// append writes whole records, or none of them where there is no room.
func (l *Log) append(records []byte, words int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.full.IsZero() && at.Sub(l.full) < retryFull {
		l.lost += int64(words)
		return
	}
	if l.lost > 0 {
		var b bytes.Buffer
		record(&b, at, "stderr", true, fmt.Appendf(nil, "[podrunner: the file system was full; %d bytes of this log are lost]", l.lost))
		records = append(b.Bytes(), records...)
	}
	if err := l.write(records); err != nil {
		if l.full.IsZero() {
			l.mark(at)
		}
		l.err = err
		l.full = at
		l.lost += int64(words)
		return
	}
	l.full, l.lost = time.Time{}, 0
}

func (l *Log) write(records []byte) error {
	if l.file != nil && l.size > 0 && l.size+int64(len(records)) > l.maxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(records, l.size); err != nil {
		// Half a record is none.
		_ = l.file.Truncate(l.size)
		return err
	}
	l.size += int64(len(records))
	return nil
}

// mark says at the end of the log that it was cut, in the place of its last records: there is no room for more.
func (l *Log) mark(at time.Time) {
	if l.file == nil {
		return
	}
	var b bytes.Buffer
	record(&b, at, "stderr", true, []byte("[podrunner: the log is cut here: the file system is full]"))
	from := max(0, l.size-maxRecord-int64(b.Len()))
	tail := make([]byte, l.size-from)
	if _, err := l.file.ReadAt(tail, from); err != nil {
		return
	}
	// The last end of a record that leaves room for the mark.
	room := len(tail) - b.Len()
	if room < 0 {
		return
	}
	cut := bytes.LastIndexByte(tail[:room], '\n') + 1
	if cut == 0 && from > 0 {
		return
	}
	at0 := from + int64(cut)
	if _, err := l.file.WriteAt(b.Bytes(), at0); err != nil {
		return
	}
	_ = l.file.Truncate(at0 + int64(b.Len()))
	l.size = at0 + int64(b.Len())
}

// rotate begins a new part; the oldest one goes.
func (l *Log) rotate() error {
	_ = l.file.Close()
	l.file, l.size = nil, 0
	if l.maxFiles == 1 {
		return os.Remove(l.path)
	}
	for i := l.maxFiles - 1; i > 1; i-- {
		if err := os.Rename(part(l.path, i-1), part(l.path, i)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("rotate a log: %w", err)
		}
	}
	if err := os.Rename(l.path, part(l.path, 1)); err != nil {
		return fmt.Errorf("rotate a log: %w", err)
	}
	return nil
}

// part is the i-th last rotated part of a log, and the log itself for 0.
func part(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// Close ends the log. It tells of the last thing that could not be kept.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 {
		var b bytes.Buffer
		record(&b, l.now(), "stderr", true, fmt.Appendf(nil, "[podrunner: the file system was full; %d bytes of this log are lost]", l.lost))
		if l.write(b.Bytes()) == nil {
			l.lost = 0
		}
	}
	if l.file == nil {
		return l.err
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("close a log: %w", err)
	}
	return nil
}
