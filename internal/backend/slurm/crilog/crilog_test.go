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
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// clock counts the seconds up with each look.
func clock() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.Unix(1000+n.Add(1), 0).UTC() }
}

func TestALogDoesNotBringTheJobsDirectoryBack(t *testing.T) {
	job := filepath.Join(t.TempDir(), "job")
	if _, err := Create(filepath.Join(job, "logs", "c", "0.log"), jobdir.LogLimits{}, clock()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(job); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

func write(t *testing.T, limits jobdir.LogLimits, chunks ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c", "0.log")
	l, err := Create(path, limits, clock())
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() { l.Copy("stdout", r) })
	for _, c := range chunks {
		if _, err := io.WriteString(w, c); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close()
	wait.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Read(t.Context(), path, o, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func n(i int64) *int64 { return &i }

func TestALogComesOutToTheByte(t *testing.T) {
	random := make([]byte, 300<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for name, chunks := range map[string][]string{
		"nothing":              nil,
		"one line":             {"one\n"},
		"no end of the line":   {"one\ntwo"},
		"empty lines":          {"\n\n\n"},
		"a line in pieces":     {"o", "n", "e\nt", "wo\n"},
		"a line as one record": {strings.Repeat("x", maxRecord) + "\n"},
		"a long line":          {strings.Repeat("x", 100000) + "\nend\n"},
		"a longer one":         {strings.Repeat("x", maxRecord+1)},
		"carriage returns":     {"a\r\nb\r"},
		"any bytes":            {string(random)},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, jobdir.LogLimits{}, chunks...)
			if got, want := read(t, path, Options{}), strings.Join(chunks, ""); got != want {
				t.Errorf("got %d bytes, want %d: %.100q", len(got), len(want), got)
			}
		})
	}
}

func TestRecordsAreThoseOfTheContainerRuntimeInterface(t *testing.T) {
	path := write(t, jobdir.LogLimits{}, "one\ntw", "o\n")
	data, err := os.ReadFile(path)
	want := "1970-01-01T00:16:41.000000000Z stdout F one\n1970-01-01T00:16:41.000000000Z stdout P tw\n1970-01-01T00:16:42.000000000Z stdout F o\n"
	if err != nil || string(data) != want {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestPartsOfALogAreWanted(t *testing.T) {
	var all strings.Builder
	var chunks []string
	for i := range 10 {
		chunks = append(chunks, fmt.Sprintf("line %d\n", i))
		all.WriteString(chunks[i])
	}
	whole := write(t, jobdir.LogLimits{}, chunks...)
	// Small parts: a record has 43 bytes.
	rotated := write(t, jobdir.LogLimits{MaxBytes: 100, MaxFiles: 20}, chunks...)
	long := write(t, jobdir.LogLimits{}, "a\n", strings.Repeat("x", 50000)+"\n", strings.Repeat("y", 200000)+"\n", "open")
	xs, ys := strings.Repeat("x", 50000)+"\n", strings.Repeat("y", 200000)+"\n"
	stamp := func(i int) string { return time.Unix(int64(1001+i), 0).UTC().Format(timeFormat) + " " }
	for name, c := range map[string]struct {
		path string
		o    Options
		want string
	}{
		"all":                                {whole, Options{}, all.String()},
		"the last two":                       {whole, Options{Tail: n(2)}, "line 8\nline 9\n"},
		"the last none":                      {whole, Options{Tail: n(0)}, ""},
		"more than there are":                {whole, Options{Tail: n(100)}, all.String()},
		"exactly as many":                    {whole, Options{Tail: n(10)}, all.String()},
		"a number of bytes":                  {whole, Options{LimitBytes: n(7)}, "line 0\n"},
		"bytes within a line":                {whole, Options{LimitBytes: n(9)}, "line 0\nli"},
		"no bytes":                           {whole, Options{LimitBytes: n(0)}, ""},
		"bytes of the last two":              {whole, Options{Tail: n(2), LimitBytes: n(7)}, "line 8\n"},
		"since":                              {whole, Options{Since: time.Unix(1009, 0)}, "line 8\nline 9\n"},
		"since later than all":               {whole, Options{Since: time.Unix(2000, 0)}, ""},
		"times":                              {whole, Options{Tail: n(1), Timestamps: true}, stamp(9) + "line 9\n"},
		"bytes of times":                     {whole, Options{Timestamps: true, LimitBytes: n(4)}, "1970"},
		"all of a rotated one":               {rotated, Options{MaxFiles: 20}, all.String()},
		"the last of a rotated one":          {rotated, Options{MaxFiles: 20, Tail: n(3)}, "line 7\nline 8\nline 9\n"},
		"the last of more than one part":     {rotated, Options{MaxFiles: 20, Tail: n(9)}, strings.TrimPrefix(all.String(), "line 0\n")},
		"since in a rotated one":             {rotated, Options{MaxFiles: 20, Since: time.Unix(1007, 0)}, "line 6\nline 7\nline 8\nline 9\n"},
		"an open line is the last":           {long, Options{Tail: n(1)}, "open"},
		"no line, not the open one":          {long, Options{Tail: n(0)}, ""},
		"an open and a long line":            {long, Options{Tail: n(2)}, ys + "open"},
		"all of the long lines":              {long, Options{Tail: n(3)}, xs + ys + "open"},
		"a long line has one time":           {long, Options{Tail: n(1), Timestamps: true}, stamp(long4(t, long)) + "open"},
		"a line of several records is one":   {long, Options{Tail: n(4)}, "a\n" + xs + ys + "open"},
		"the limit holds over records":       {long, Options{Tail: n(2), LimitBytes: n(100000)}, ys[:100000]},
		"since drops records of a long line": {whole, Options{Since: time.Unix(1001, 1)}, strings.TrimPrefix(all.String(), "line 0\n")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(t, c.path, c.o); got != c.want {
				t.Errorf("got %d bytes %.200q, want %d bytes %.200q", len(got), got, len(c.want), c.want)
			}
		})
	}
}

// long4 is how many looks at the clock were made before the last record.
func long4(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	e, ok := parse([]byte(lines[len(lines)-1]))
	if !ok {
		t.Fatal(lines[len(lines)-1])
	}
	return int(e.at.Unix() - 1001)
}

// TestAPartThatIsMetUnderTwoNamesIsReadOnce is about a reader that opens a part before it is moved on, and its next name after that.
func TestAPartThatIsMetUnderTwoNamesIsReadOnce(t *testing.T) {
	path := write(t, jobdir.LogLimits{MaxBytes: 100, MaxFiles: 20}, "line 0\n", "line 1\n", "line 2\n", "line 3\n", "line 4\n")
	want := "line 0\nline 1\nline 2\nline 3\nline 4\n"
	if err := os.Rename(part(path, 2), part(path, 3)); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(part(path, 1), part(path, 2)); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"all": {}, "more lines than there are": {Tail: n(6)}, "followed": {Ended: func() (bool, error) { return true, nil }},
	} {
		o.MaxFiles = 20
		if got := read(t, path, o); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestOldPartsGo(t *testing.T) {
	var chunks []string
	for i := range 100 {
		chunks = append(chunks, fmt.Sprintf("line %d\n", i))
	}
	path := write(t, jobdir.LogLimits{MaxBytes: 200, MaxFiles: 3}, chunks...)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 3 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if got := read(t, path, Options{MaxFiles: 3}); !strings.HasSuffix(strings.Join(chunks, ""), got) || len(got) < 20 {
		t.Errorf("got %q", got)
	}
	single := write(t, jobdir.LogLimits{MaxBytes: 200, MaxFiles: 1}, chunks...)
	if entries, err := os.ReadDir(filepath.Dir(single)); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestALogThatIsNotThereIsSaidToBeMissing(t *testing.T) {
	err := Read(t.Context(), filepath.Join(t.TempDir(), "0.log"), Options{}, io.Discard)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFollowingGoesThroughRotationsUntilTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	var ended atomic.Bool
	// There are some 25 parts: a reader that is slow must not lose any.
	limits := jobdir.LogLimits{MaxBytes: 400, MaxFiles: 40}
	var want strings.Builder
	go func() {
		l, err := Create(path, limits, time.Now)
		if err != nil {
			t.Error(err)
			return
		}
		r, w := io.Pipe()
		go func() {
			for i := range 200 {
				fmt.Fprintf(w, "line %d\n", i)
				if i%20 == 0 {
					<-time.After(5 * time.Millisecond)
				}
			}
			_ = w.Close()
		}()
		l.Copy("stdout", r)
		_ = l.Close()
		ended.Store(true)
	}()
	for i := range 200 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	got := read(t, path, Options{Ended: func() (bool, error) { return ended.Load(), nil }, Poll: time.Millisecond, MaxFiles: 40})
	if got != want.String() {
		t.Errorf("got %d bytes of %d: %.300q", len(got), want.Len(), got)
	}
}

func TestFollowingEndsWithItsContext(t *testing.T) {
	path := write(t, jobdir.LogLimits{}, "one\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var b bytes.Buffer
	err := Read(ctx, path, Options{Ended: func() (bool, error) { return false, nil }, Poll: time.Millisecond}, &b)
	if !errors.Is(err, context.DeadlineExceeded) || b.String() != "one\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestOnAFullFileSystemALogIsCutWithAMarkAndGoesOnLater(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can mount a small file system: the mark alone is looked at")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Logf("no small file system: %v", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	var now atomic.Int64
	now.Store(1000)
	path := filepath.Join(dir, "0.log")
	l, err := Create(path, jobdir.LogLimits{}, func() time.Time { return time.Unix(now.Load(), 0) })
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1000) + "\n"
	for range 300 {
		l.Copy("stdout", strings.NewReader(line))
	}
	got := read(t, path, Options{})
	if !strings.HasPrefix(got, line) || !strings.HasSuffix(got, "[podrunner: the log is cut here: the file system is full]\n") {
		t.Fatalf("the log ends with %q", got[max(0, len(got)-200):])
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	now.Add(10)
	l.Copy("stdout", strings.NewReader("again\n"))
	got = read(t, path, Options{Tail: n(3)})
	if !strings.Contains(got, "bytes of this log are lost]\nagain\n") {
		t.Errorf("the log ends with %q", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzRecordsAreReadOrLeftOut(f *testing.F) {
	f.Add([]byte("2016-10-06T00:17:09.669794202Z stdout F log content"))
	f.Add([]byte("2016-10-06T00:17:09Z stderr P:x "))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, ok := parse(line); ok && !bytes.HasSuffix(line, e.data) {
			t.Errorf("%q has content %q", line, e.data)
		}
	})
}
