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

package crilog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Options say what of a log is wanted.
type Options struct {
	// Tail is how many lines from the end; nil for all.
	Tail *int64
	// Since leaves out what is older; zero for nothing.
	Since time.Time
	// Timestamps puts each line's time before it.
	Timestamps bool
	// LimitBytes of output; nil for no limit.
	LimitBytes *int64
	// Ended tells whether nothing more is written to the log. Nil where the log is not followed.
	Ended func() (bool, error)
	// Poll is how often a followed log is looked at.
	Poll time.Duration
	// MaxFiles is how many parts a log may have; 0 for the default.
	MaxFiles int
}

// errLimit ends a read whose limit is reached.
var errLimit = errors.New("the limit is reached")

// Read writes what is wanted of a log. A log that is not there is an error that is fs.ErrNotExist, but for a followed one that has not
// ended: that may still begin.
func Read(ctx context.Context, path string, o Options, w io.Writer) error {
	r := &reader{path: path, options: o, w: w, lineStart: true}
	if r.options.MaxFiles <= 0 {
		r.options.MaxFiles = DefaultMaxFiles
	}
	if o.LimitBytes != nil {
		r.left = *o.LimitBytes
	}
	defer r.close()
	err := r.read(ctx)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

type reader struct {
	path    string
	options Options
	w       io.Writer
	left    int64
	// lineStart is set where the next output begins a line.
	lineStart bool
	// file is the part that is read, rest what was read of a record that is not whole yet.
	file *os.File
	rest []byte
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

func (r *reader) read(ctx context.Context) error {
	if r.options.LimitBytes != nil && r.left <= 0 {
		return nil
	}
	parts, err := r.openParts(ctx)
	if err != nil {
		return err
	}
	first, offset := 0, int64(0)
	if r.options.Tail != nil {
		if first, offset, err = tailStart(parts, *r.options.Tail); err != nil {
			closeAll(parts)
			return err
		}
	}
	closeAll(parts[:first])
	parts = parts[first:]
	for i, part := range parts {
		r.close()
		r.file = part
		if i > 0 {
			offset = 0
		}
		if _, err := part.Seek(offset, io.SeekStart); err != nil {
			closeAll(parts[i+1:])
			return fmt.Errorf("read a log: %w", err)
		}
		if err := r.drain(); err != nil {
			closeAll(parts[i+1:])
			return err
		}
	}
	if r.options.Ended == nil {
		return nil
	}
	return r.follow(ctx)
}

// openParts opens the parts of a log, the oldest first. One that is followed and not there yet is waited for.
func (r *reader) openParts(ctx context.Context) ([]*os.File, error) {
	for {
		parts, err := r.snapshot(nil)
		if err != nil || len(parts) > 0 {
			return parts, err
		}
		if r.options.Ended != nil {
			if ended, err := r.options.Ended(); err == nil && !ended {
				if err := r.pause(ctx); err != nil {
					return nil, err
				}
				continue
			}
		}
		return nil, fmt.Errorf("read a log: %w", &fs.PathError{Op: "open", Path: r.path, Err: fs.ErrNotExist})
	}
}

// maxSnapshots bounds how often parts that are just being rotated are looked at again.
const maxSnapshots = 100

// snapshot opens the parts of a log, the oldest first, and none that is older than the one given, which comes first where it is still
// there. Parts move on while they are opened: they count only where the youngest is the youngest still when all are open. That one is moved
// last, so until then an older part may have been opened and be met again under its next name, and it is taken once.
func (r *reader) snapshot(from *os.File) ([]*os.File, error) {
	for try := 1; ; try++ {
		var parts []*os.File
		for i := range r.options.MaxFiles {
			f, err := os.Open(part(r.path, i))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				closeAll(parts)
				return nil, fmt.Errorf("read a log: %w", err)
			}
			if len(parts) > 0 && same(f, parts[len(parts)-1]) {
				_ = f.Close()
				continue
			}
			parts = append(parts, f)
			if from != nil && same(f, from) {
				break
			}
		}
		slices.Reverse(parts)
		if try == maxSnapshots || r.settled(parts) {
			return parts, nil
		}
		closeAll(parts)
	}
}

// settled tells whether nothing was rotated while the parts were opened.
func (r *reader) settled(parts []*os.File) bool {
	now, err := os.Stat(r.path)
	if err != nil {
		// A log that is being rotated at this moment has parts, but not the youngest.
		return len(parts) == 0
	}
	if len(parts) == 0 {
		return false
	}
	youngest, err := parts[len(parts)-1].Stat()
	return err == nil && os.SameFile(now, youngest)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func same(a, b *os.File) bool {
	infoA, err := a.Stat()
	infoB, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(infoA, infoB)
}

// drain reads the open part to its present end.
func (r *reader) drain() error {
	buf := bufio.NewReaderSize(r.file, 64<<10)
	for {
		line, err := buf.ReadSlice('\n')
		if len(line) > 0 {
			if err == nil && len(r.rest) == 0 {
				if err := r.put(line[:len(line)-1]); err != nil {
					return err
				}
				continue
			}
			r.rest = append(r.rest, line...)
		}
		switch {
		case err == nil:
			whole := r.rest[:len(r.rest)-1]
			r.rest = nil
			if err := r.put(whole); err != nil {
				return err
			}
		case errors.Is(err, bufio.ErrBufferFull):
			if len(r.rest) > 4*maxRecord {
				r.rest = r.rest[:0] // no record is that long
			}
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("read a log: %w", err)
		}
	}
}

// put writes what one record says.
func (r *reader) put(line []byte) error {
	e, ok := parse(line)
	if !ok || e.at.Before(r.options.Since) {
		return nil
	}
	if r.lineStart && r.options.Timestamps {
		if err := r.write(append(bytes.Clone(e.stamp), ' ')); err != nil {
			return err
		}
	}
	if err := r.write(e.data); err != nil {
		return err
	}
	r.lineStart = e.full
	if e.full {
		return r.write([]byte{'\n'})
	}
	return nil
}

func (r *reader) write(p []byte) error {
	limited := r.options.LimitBytes != nil
	over := limited && int64(len(p)) >= r.left
	if over {
		p = p[:r.left]
	}
	if _, err := r.w.Write(p); err != nil {
		return fmt.Errorf("hand on a log: %w", err)
	}
	if limited {
		r.left -= int64(len(p))
	}
	if over {
		return errLimit
	}
	return nil
}

const defaultPoll = 200 * time.Millisecond

func (r *reader) pause(ctx context.Context) error {
	poll := r.options.Poll
	if poll <= 0 {
		poll = defaultPoll
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow goes on with what is written, until nothing more is.
func (r *reader) follow(ctx context.Context) error {
	for {
		// Asked before the log is read: what was written until then is read.
		ended, err := r.options.Ended()
		if err != nil {
			return err
		}
		if err := r.catchUp(); err != nil || ended {
			return err
		}
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
}

// catchUp reads the rest of the open part, and the parts that came after it. The file is opened anew each time: only that makes a file
// system that is shared over a network look whether it has grown.
func (r *reader) catchUp() error {
	parts, err := r.snapshot(r.file)
	if err != nil {
		return err
	}
	if len(parts) > 0 && same(parts[0], r.file) {
		at, err := r.file.Seek(0, io.SeekCurrent)
		if err == nil {
			_, err = parts[0].Seek(at, io.SeekStart)
		}
		if err != nil {
			closeAll(parts)
			return fmt.Errorf("read a log: %w", err)
		}
		r.close()
		r.file, parts = parts[0], parts[1:]
	}
	// Where it has been rotated away it is still open, and may hold more than was read.
	if err := r.drain(); err != nil {
		closeAll(parts)
		return err
	}
	for i, next := range parts {
		r.close()
		r.file, r.rest = next, nil
		if err := r.drain(); err != nil {
			closeAll(parts[i+1:])
			return err
		}
	}
	return nil
}

// tailStart is where the last lines begin: in which part, and where in it.
func tailStart(parts []*os.File, lines int64) (first int, offset int64, err error) {
	for i := len(parts) - 1; i >= 0; i-- {
		var found bool
		if offset, lines, found, err = tailIn(parts[i], lines, i == len(parts)-1); err != nil || found {
			return i, offset, err
		}
	}
	return 0, 0, nil
}

// tailIn looks from the end of a part for the record behind which the last lines begin: that which ends the line before them. lines is
// how many are still to be found; a line that does not end counts as one where it is the last of all.
func tailIn(f *os.File, lines int64, last bool) (offset, still int64, found bool, err error) {
	const block = 64 << 10
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, false, fmt.Errorf("read a log: %w", err)
	}
	end := size // what is behind it has been seen
	var tail []byte
	for at := size; at > 0; {
		n := min(block, at)
		at -= n
		data := make([]byte, n, n+int64(len(tail)))
		if _, err := f.ReadAt(data, at); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, false, fmt.Errorf("read a log: %w", err)
		}
		tail = append(data, tail...)
		for {
			// tail is what stands between at and end; its last record is looked at.
			body := bytes.TrimSuffix(tail, []byte{'\n'})
			cut := bytes.LastIndexByte(body, '\n')
			if cut < 0 && at > 0 || len(body) == 0 {
				break
			}
			// The open line at the very end counts as one.
			if endsLine(body[cut+1:]) || last && end == size {
				if lines == 0 {
					return end, 0, true, nil
				}
				lines--
			}
			end = at + int64(cut) + 1
			tail = tail[:cut+1]
			if cut < 0 {
				break
			}
		}
	}
	return 0, lines, false, nil
}
