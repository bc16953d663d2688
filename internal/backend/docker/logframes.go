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
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moby/moby/api/pkg/stdcopy"
)

// frame is one message of a log. It is a whole line, or a part of a long one: then the next one of the same stream goes on with it.
type frame struct {
	stream stdcopy.StdType
	data   []byte
}

// fullPart is how long the parts of a long line are, but for the last.
const fullPart = 16 << 10

// goesOn tells whether the next message of the stream goes on with the line that this text is a part of.
func goesOn(text []byte) bool { return len(text) >= fullPart && text[len(text)-1] != '\n' }

// losesNewline tells whether a text that goes on with a line has lost the newline that ended it. Engines leave it out after the last
// part of a long line (seen on 20.10). The very last line of a log may get one that it did not have: if it is that long, nothing tells.
func losesNewline(text []byte) bool {
	return len(text) < fullPart && !bytes.HasSuffix(text, []byte("\n"))
}

// timestamp is what stands before the first space of a message that was asked for with its time, and text is the rest.
func (f frame) timestamp() (stamp string, text []byte) {
	before, after, ok := bytes.Cut(f.data, []byte(" "))
	if !ok {
		return "", f.data
	}
	return string(before), after
}

// maxFrame bounds a message; the engine's own bound is 16 KiB and the timestamp.
const maxFrame = 16 << 20

// frameReader reads a log as the engine sends it.
type frameReader struct{ r io.Reader }

func (f frameReader) next() (frame, error) {
	var header [8]byte
	if _, err := io.ReadFull(f.r, header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // cut off in between, as by a container's end: there is no message
		}
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(header[4:])
	if size > maxFrame {
		return frame{}, fmt.Errorf("the engine sent a log message of %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f.r, data); err != nil {
		return frame{}, err
	}
	if stream := stdcopy.StdType(header[0]); stream != stdcopy.Systemerr {
		return frame{stream, data}, nil
	}
	return frame{}, fmt.Errorf("the engine's log ended with: %s", data)
}

// frames is a log, message by message.
type frames interface{ next() (frame, error) }

// wholeFrames is a log that is followed. Engines may end a stream with the container, before all was sent (seen on 20.10, with many who follow
// a log that is written fast), so the rest is read afterwards, once.
type wholeFrames struct {
	followed frames
	// rest opens what is there from a time on, from the log's beginning where that is empty; nil once that was done.
	rest func(since string) (frames, error)
	// stamp is the time of the last message, and same how many had it.
	stamp string
	same  int
}

func (w *wholeFrames) next() (frame, error) {
	f, err := w.followed.next()
	if cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); cut && w.rest != nil {
		rest, failed := w.rest(w.stamp)
		w.rest = nil
		if failed != nil {
			return frame{}, err
		}
		w.followed = &laterFrames{frames: rest, stamp: w.stamp, skip: w.same}
		f, err = w.followed.next()
	}
	if err != nil {
		return frame{}, err
	}
	if stamp, _ := f.timestamp(); stamp != w.stamp {
		w.stamp, w.same = stamp, 1
	} else {
		w.same++
	}
	return f, nil
}

// laterFrames leaves out the first messages of a time.
type laterFrames struct {
	frames
	stamp string
	skip  int
}

func (l *laterFrames) next() (frame, error) {
	for {
		f, err := l.frames.next()
		if err != nil || l.skip == 0 {
			return f, err
		}
		if stamp, _ := f.timestamp(); stamp != l.stamp {
			l.skip = 0
			return f, nil
		}
		l.skip--
	}
}

// lineReader makes one text of a log, whose messages come with their times, since an empty last part of a line shows by nothing else. The
// times of those that go on with a line are taken out again, and all others where they are not wanted.
type lineReader struct {
	frames     frames
	timestamps bool
	// open holds the streams whose line goes on.
	open [4]bool
	left []byte
	err  error
}

func (l *lineReader) Read(p []byte) (int, error) {
	for len(l.left) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		var f frame
		if f, l.err = l.frames.next(); l.err != nil {
			continue
		}
		_, text := f.timestamp()
		open := &l.open[f.stream&3]
		switch {
		case !*open && l.timestamps:
			l.left = f.data
		case !*open:
			l.left = text
		case losesNewline(text):
			l.left = slices.Concat(text, []byte{'\n'})
		default:
			l.left = text
		}
		*open = goesOn(text)
	}
	n := copy(p, l.left)
	l.left = l.left[n:]
	return n, nil
}

// findTail finds the time at which the last lines of a log begin. The log is its last ask messages, with their times. start is empty
// where all of the log is wanted, and nothing is found where the messages do not reach back to where the lines begin.
//
// All parts of a long line carry the time of its first. So a message with a time before that of the first message here may go on with a
// line that began before it, and one with a later time does not.
func findTail(frames frameReader, lines, ask int64) (start string, found bool, err error) {
	all, sure := newLastLines(lines), newLastLines(lines)
	var seen int64
	var open [4]bool
	first := ""
	for {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", false, err
		}
		seen++
		stamp, text := f.timestamp()
		first = cmp.Or(first, stamp)
		if !open[f.stream&3] {
			all.add(stamp)
			if stamp > first {
				sure.add(stamp)
			}
		}
		open[f.stream&3] = goesOn(text)
	}
	switch {
	case seen < ask && all.count <= lines:
		return "", true, nil
	case seen < ask:
		return all.oldest(), true, nil
	default:
		return sure.oldest(), sure.count >= lines, nil
	}
}

// lastLines are the times at which the last lines of a log begin.
type lastLines struct {
	ring  []string
	most  int64
	count int64
}

func newLastLines(most int64) *lastLines { return &lastLines{most: most} }

func (l *lastLines) add(stamp string) {
	if l.count < l.most {
		l.ring = append(l.ring, stamp)
	} else {
		l.ring[l.count%l.most] = stamp
	}
	l.count++
}

// oldest is the first of the last lines, empty where there are none.
func (l *lastLines) oldest() string {
	switch {
	case l.count == 0:
		return ""
	case l.count < l.most:
		return l.ring[0]
	default:
		return l.ring[l.count%l.most]
	}
}
