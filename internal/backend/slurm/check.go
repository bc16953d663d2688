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
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
)

// machine is what is known of the cluster since the last Check.
type machine struct {
	ready bool
	// uid is the id of the user whose jobs these are, there.
	uid string
	// accounting is set where sacct can be asked.
	accounting bool
	capacity   corev1.ResourceList
	at         time.Time
	info       backend.Info
}

// checkScript makes the base directory's parts and asks the cluster who it is, in sections that begin with a line of their own. $1 is the
// base directory, $2 what is to be its identity where it has none, and the rest the command that asks for the nodes. The identity
// is put in place by a link, so that of two who do so at the same time one wins and both read the same.
var checkScript = `set -u
umask 077
base=$1 identity=$2
shift 2
for dir in "$base" "$base/bin" "$base/jobs" "$base/done" "$base/out"; do
  [ -d "$dir" ] || mkdir -p "$dir" || exit 1
done
if [ ! -s "$base/cluster.json" ]; then
  new=$(mktemp "$base/.identity-XXXXXXXXXX") && printf '%s\n' "$identity" >"$new" || exit 1
  ln "$new" "$base/cluster.json" 2>/dev/null
  rm -f "$new"
fi
echo @identity; cat "$base/cluster.json" || exit 1
echo @machine; uname -m || exit 1
echo @user; id -u || exit 1
echo @version; ` + sbatch.QuoteAll(queue.VersionArgs()) + ` || exit 1
echo @config; ` + sbatch.QuoteAll(queue.ConfigArgs()) + ` || exit 1
echo @nodes; "$@" || exit 1
echo @end
`

// Check asks the cluster who it is, and sees to it that podrunner is where it should be.
func (b *Backend) Check(ctx context.Context) (backend.Info, error) {
	words, err := b.ask(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	var identity jobdir.Identity
	if err := json.Unmarshal([]byte(words["identity"]), &identity); err != nil || identity.ID == "" {
		return backend.Info{}, fmt.Errorf("read %s: it names no identity: %q", b.base.Identity(), words["identity"])
	}
	config, err := queue.ParseConfig([]byte(words["config"]))
	if err != nil {
		return backend.Info{}, err
	}
	version, err := queue.ParseVersion([]byte(words["version"]))
	if err != nil {
		return backend.Info{}, err
	}
	nodes, err := queue.ParseSinfo([]byte(words["nodes"]))
	if err != nil {
		return backend.Info{}, err
	}
	if !b.known().ready {
		if err := b.install(ctx); err != nil {
			return backend.Info{}, err
		}
		podrunner := b.binary.here(strings.TrimSpace(words["machine"]))
		if err := b.tryPodrunner(ctx, podrunner); err != nil {
			return backend.Info{}, err
		}
		b.setHere(podrunner)
	}
	m := machine{
		ready: true, at: time.Now(), uid: strings.TrimSpace(words["user"]), capacity: queue.Capacity(nodes), accounting: config.Accounting,
		info: backend.Info{Version: version.String(), Identity: config.ClusterName + "/" + identity.ID},
	}
	b.mu.Lock()
	b.machine = m
	b.mu.Unlock()
	return m.info, nil
}

// ask runs checkScript and returns its sections.
func (b *Backend) ask(ctx context.Context) (map[string]string, error) {
	identity, err := json.Marshal(jobdir.Identity{ID: rand.Text()})
	if err != nil {
		return nil, err
	}
	args := append([]string{string(b.base), string(identity)}, queue.SinfoArgs()...)
	result, err := b.run.Run(ctx, remote.Shell(checkScript, args...))
	if err != nil {
		return nil, fmt.Errorf("ask the cluster who it is: %w", err)
	}
	if err := result.Err(); err != nil {
		return nil, backend.Unavailable("ask the cluster who it is: %s", spoken(err.Error()))
	}
	words := sections(string(result.Stdout))
	if _, whole := words["end"]; !whole {
		return nil, backend.Unavailable("ask the cluster who it is: the answer is not whole")
	}
	return words, nil
}

// sections are what follows the lines that begin with @, by what they say.
func sections(text string) map[string]string {
	out := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "@"); ok {
			name = strings.TrimSpace(rest)
			out[name] = ""
			continue
		}
		out[name] += line
	}
	return out
}

// learn sees to it that there was one Check at least: it makes what the other calls need.
func (b *Backend) learn(ctx context.Context) error {
	if b.known().ready {
		return nil
	}
	_, err := b.Check(ctx)
	return err
}

// setHere takes note of the podrunner that runs where sbatch is.
func (b *Backend) setHere(podrunner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.here = podrunner
	if muxer, ok := b.run.(remote.Muxer); ok {
		muxer.UseMux([]string{podrunner, "mux"})
	}
}

func (b *Backend) known() machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.machine
}

// capacityFresh is how long what Check has learnt of the capacity is good enough.
const capacityFresh = 10 * time.Second

// Capacity is what the nodes have that can take work.
func (b *Backend) Capacity(ctx context.Context) (corev1.ResourceList, error) {
	if m := b.known(); m.ready && time.Since(m.at) < capacityFresh {
		return m.capacity.DeepCopy(), nil
	}
	if _, err := b.Check(ctx); err != nil {
		return nil, err
	}
	return b.known().capacity.DeepCopy(), nil
}
