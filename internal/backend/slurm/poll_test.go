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

package slurm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// counter counts the commands that a backend runs.
type counter struct {
	remote.Runner
	commands atomic.Int64
}

func (c *counter) Run(ctx context.Context, command remote.Command) (remote.Result, error) {
	c.commands.Add(1)
	return c.Runner.Run(ctx, command)
}

func (c *counter) Stream(ctx context.Context, command remote.Command) (io.ReadCloser, error) {
	c.commands.Add(1)
	return c.Runner.Stream(ctx, command)
}

// counted is a connection of the world whose commands are counted.
func (w *world) counted(t testing.TB) (*Backend, *counter) {
	t.Helper()
	b := w.connect(t)
	c := &counter{Runner: b.run}
	b.run = c
	return b, c
}

func (w *world) comment(i int) (token, comment string) {
	token = workload.PodToken(w.ledger, "bench", strconv.Itoa(i))
	return token, queue.Comment{Token: token, Ledger: w.ledger, Backend: w.backend, Pod: types.NamespacedName{Namespace: "bench", Name: strconv.Itoa(i)}}.String()
}

// fillQueue puts jobs into the queue that wait there.
func (w *world) fillQueue(t testing.TB, b *Backend, jobs int) {
	t.Helper()
	const chunk = 100
	for from := 0; from < jobs; from += chunk {
		script := ""
		for i := from; i < min(from+chunk, jobs); i++ {
			token, comment := w.comment(i)
			script += sbatch.QuoteAll([]string{"sbatch", "--hold", "--quiet", "--chdir=/", "--output=/dev/null", "--mem=64M", "--job-name=" + token, "--comment=" + comment,
				"--wrap=exit 0"}) + " || exit\n"
		}
		command := remote.Shell(script)
		command.Timeout = 5 * time.Minute
		result, err := b.run.Run(t.Context(), command)
		if err == nil {
			err = result.Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		command := remote.Shell(`scancel --user="$(id -un)" --state=PENDING`)
		command.Timeout = 5 * time.Minute
		if _, err := b.run.Run(context.Background(), command); err != nil {
			t.Error(err)
		}
	})
}

// leaveFinished leaves directories of jobs that ended and that the queue has forgotten.
func (w *world) leaveFinished(t testing.TB, b *Backend, from, jobs int) {
	t.Helper()
	made, err := remote.UploadTree(t.Context(), b.run, w.base+"/made", func(tar *remote.TarWriter) error {
		for i := from; i < from+jobs; i++ {
			token, _ := w.comment(i)
			whose := fmt.Sprintf(`{"token":%q,"ledger":%q,"backend":%q}`+"\n", token, w.ledger, w.backend)
			state := fmt.Sprintf(`{"jobID":"%d","sequence":7,"decision":{"Phase":"Succeeded"},"finished":true,"updated":"2026-01-01T00:00:00Z"}`+"\n", i)
			for _, err := range []error{
				tar.Dir(token, 0o700), tar.File(token+"/"+ownerFile, 0o600, []byte(whose)), tar.File(token+"/state.json", 0o600, []byte(state)),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || !made {
		t.Fatal(made, err)
	}
	result, err := b.run.Run(t.Context(), remote.Shell(`cd "$1/made" && mv rj-* ../jobs/`, w.base))
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestALookIsOneCommandHoweverManyJobsThereAre(t *testing.T) {
	w := newWorld(t)
	b, count := w.counted(t)
	if _, err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fillQueue(t, b, 60)
	w.leaveFinished(t, b, 1000, 60)
	see := func(want int64) {
		t.Helper()
		before := count.commands.Load()
		snapshot, err := b.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := count.commands.Load() - before; got > want {
			t.Errorf("a look took %d commands", got)
		}
		waiting, finished := 0, 0
		for _, job := range snapshot.Jobs {
			switch {
			case job.Word != nil && !job.Word.Ended:
				waiting++
			case job.Report != nil && job.Report.Finished():
				finished++
			}
		}
		if waiting != 60 || finished != 60 {
			t.Errorf("%d wait, %d have finished", waiting, finished)
		}
	}
	see(3) // the first one looks for what only the directories tell, and reads their states next
	see(1)
	see(1)
	for token := range b.jobs.jobs {
		b.Retire(token)
	}
	if q := b.jobs.question(false, false); len(q.known) != 0 {
		t.Errorf("finished and queued jobs cost a look %q", q.known)
	}
}

// TestAJobThatBeginsWhileALookIsUnderWayIsNotTakenForARequeuedOne has the queue say that jobs wait whose podrunners have spoken by the time
// that their states could be read.
func TestAJobThatBeginsWhileALookIsUnderWayIsNotTakenForARequeuedOne(t *testing.T) {
	base := t.TempDir()
	const (
		waiting = "rj-00000000000000000000000000000001"
		running = "rj-00000000000000000000000000000002"
		twice   = "rj-00000000000000000000000000000003" // of its two jobs one has begun
		unseen  = "rj-00000000000000000000000000000004"
		again   = "rj-00000000000000000000000000000005" // it has run, and waits
		same    = "rj-00000000000000000000000000000006" // the same, and nothing is new
	)
	known, records := "", ""
	for token, what := range map[string]string{waiting: "-1 read", running: "-1 read", twice: "-1 read", unseen: "-1 read", again: "0 -", same: "1 -"} {
		known += token + " " + what + "\n"
		if err := os.MkdirAll(filepath.Join(base, "jobs", token), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, "jobs", token, "state.json"), []byte(`{"jobID":"7","sequence":1,"decision":{}}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range [][2]string{{waiting, "PENDING"}, {running, "RUNNING"}, {twice, "RUNNING"}, {twice, "PENDING"}, {again, "PENDING"}, {same, "PENDING"}} {
		records += "\036" + strings.Join([]string{"7", r[0], r[1]}, "\037")
	}
	file := filepath.Join(base, "squeue")
	if err := os.WriteFile(file, []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	look := exec.Command("sh", "-c", pollScript, "look", base, "", "", "cat", file)
	look.Stdin = strings.NewReader(known)
	out, err := look.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen, err := parseLook(out, "")
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]bool{waiting: false, running: true, twice: true, unseen: true, again: true, same: false} {
		if got := seen.states[token] != nil; got != want {
			t.Errorf("the state of %s was read: %t, want %t", token, got, want)
		}
	}
}

// BenchmarkALook measures a look at 1,000 queued jobs, without and with 1,000 finished ones whose directories are still there.
func BenchmarkALook(b *testing.B) {
	w := newWorld(b)
	connection, count := w.counted(b)
	if _, err := connection.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	w.fillQueue(b, connection, 1000)
	look := func(b *testing.B) {
		b.Helper()
		if _, err := connection.Observe(b.Context()); err != nil {
			b.Fatal(err)
		}
		before := count.commands.Load()
		for b.Loop() {
			if _, err := connection.Observe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(count.commands.Load()-before)/float64(b.N), "commands/op")
	}
	b.Run("queued=1000/finished=0", look)
	w.leaveFinished(b, connection, 10000, 1000)
	connection.jobs.listed = time.Time{}
	b.Run("queued=1000/finished=1000", look)
}
