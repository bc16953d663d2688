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

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// How much more than before a manager may hold when all pods are gone.
const (
	moreGoroutines = 40
	moreHeap       = 48 << 20
)

// measured is what a manager holds, and whether it leads.
type measured struct {
	goroutines, heap float64
	leads            bool
}

func measureAll(s *stage) ([]measured, error) {
	var all []measured
	for _, address := range s.metrics {
		m, err := measure(address)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func measure(address string) (m measured, err error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return m, err
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name, _, labelled := strings.Cut(name, "{"); labelled && name == "leader_election_master_status" {
			m.leads = value == "1"
		}
		switch name {
		case "go_goroutines":
			m.goroutines, err = strconv.ParseFloat(value, 64)
		case "go_memstats_heap_alloc_bytes":
			m.heap, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return m, err
		}
	}
	if m.goroutines == 0 || m.heap == 0 {
		return m, errors.New("the metrics lack what was looked for")
	}
	return m, nil
}

// trouble is what the managers did that nobody should see.
func (d *driver) trouble(ctx context.Context, before []measured) (trouble []string) {
	// Another one may lead by now, which holds more than those that wait.
	var most measured
	for _, m := range before {
		most.goroutines, most.heap = max(most.goroutines, m.goroutines), max(most.heap, m.heap)
	}
	for i, m := range d.stage.managers {
		// A connection that is kept is a goroutine at the other end.
		m.HTTP.CloseIdleConnections()
		if m.Said("panic:") || m.Said("DATA RACE") || m.Said("Observed a panic") {
			trouble = append(trouble, fmt.Sprintf("manager %d panicked: %s", i, m.Lines("panic")))
		}
		if err := m.Ended(); err != nil {
			trouble = append(trouble, err.Error())
			continue
		}
		// Garbage is collected every two minutes at the latest. To ask for the metrics makes some, and so brings that forward.
		var grown string
		for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); wait(ctx, 10*time.Millisecond) {
			now, err := measure(d.stage.metrics[i])
			switch {
			case err != nil:
				grown = err.Error()
			case now.goroutines > most.goroutines+moreGoroutines:
				grown = fmt.Sprintf("manager %d had %.0f goroutines and has %.0f", i, most.goroutines, now.goroutines)
			case now.heap > most.heap+moreHeap:
				grown = fmt.Sprintf("manager %d had a heap of %.0f MiB and has one of %.0f", i, most.heap/(1<<20), now.heap/(1<<20))
			default:
				grown = ""
			}
			if grown == "" || ctx.Err() != nil {
				break
			}
		}
		if grown != "" {
			trouble = append(trouble, grown)
		}
	}
	return trouble
}

// leftovers is what is left anywhere after all pods are gone.
func (d *driver) leftovers(ctx context.Context) []string {
	var left, removed []string
	begun := time.Now()
	// Late submissions go in, end by themselves, and are tidied up.
	_ = harness.Poll(2*time.Minute, func() error {
		seen, err := d.survey.look(ctx)
		if err != nil {
			left = []string{err.Error()}
			return err
		}
		left = slices.Concat(seen.all(), d.idle(ctx, seen, begun, &removed), d.listed(ctx), d.files(), d.processes())
		if n := d.stage.commands.late(); n > 0 {
			left = append(left, fmt.Sprintf("%d submissions that are held back", n))
		}
		if len(left) > 0 {
			return errors.New("there is something left")
		}
		return nil
	})
	return left
}

// idle are the volumes that were left though they could be removed. An engine that was restarted under running containers does not get rid
// of some, which go with the marker.
func (d *driver) idle(ctx context.Context, seen *survey, since time.Time, removed *[]string) (left []string) {
	for _, name := range seen.idle {
		// The manager may be about to remove it.
		if time.Since(since) < 20*time.Second {
			left = append(left, "volume "+name)
			continue
		}
		_, err := d.stage.engine.Client.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
		switch {
		case err == nil:
			*removed = append(*removed, "volume "+name+", which could be removed")
		case !strings.Contains(err.Error(), "active mounts"):
			left = append(left, fmt.Sprintf("volume %s: %v", name, err))
		}
	}
	return append(left, *removed...)
}

// listed is what RemoteBackends list as leftovers.
func (d *driver) listed(ctx context.Context) (left []string) {
	var backends v1alpha1.RemoteBackendList
	if err := d.stage.ledger.List(ctx, &backends); err != nil {
		return []string{err.Error()}
	}
	for _, b := range backends.Items {
		for _, l := range b.Status.Leftovers {
			left = append(left, fmt.Sprintf("RemoteBackend %s lists %+v", b.Name, l))
		}
	}
	return left
}

// files are those in the base directories that should not be there, whatever is neither a marker nor a program, and those that a job left on
// its node.
func (d *driver) files() (left []string) {
	for _, t := range d.tracks {
		token := t.token(d.stage)
		found, _ := filepath.Glob(filepath.Join(os.TempDir(), "rj-"+token[len(token)-12:]+"-*"))
		left = append(left, found...)
	}
	err := filepath.WalkDir(d.stage.disk, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(d.stage.disk, path)
		_, name, _ = strings.Cut(name, "/")
		dir, file := filepath.Split(name)
		switch {
		case name == "cluster.json", dir == "bin/" && strings.HasPrefix(file, "podrunner"), dir == "done/" && strings.HasPrefix(file, "rj-"):
		default:
			left = append(left, "file "+name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		left = append(left, err.Error())
	}
	return left
}

// processes are those of pods that run still, known by the file that they write into.
func (d *driver) processes() (left []string) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), d.stage.ran) {
			left = append(left, "process "+filepath.Base(filepath.Dir(file)))
		}
	}
	return left
}
