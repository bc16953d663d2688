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
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
)

// clock tells moments of a run. Pods read the machine's uptime, which is the same in every container.
type clock struct {
	began  time.Time
	uptime time.Duration
}

func newClock() (clock, error) {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return clock{}, err
	}
	up, err := parseUptime(strings.Fields(string(data))[0])
	return clock{began: time.Now(), uptime: up}, err
}

func (c clock) now() history.Moment { return time.Since(c.began) }

func parseUptime(s string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("the uptime %q: %w", s, err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// parseRuns reads what pods wrote down: lines of a UID, a container, an id, begin or end, and the uptime.
func parseRuns(text string, c clock) ([]history.Run, error) {
	var runs []history.Run
	at := map[string]int{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 5 {
			return nil, fmt.Errorf("a pod wrote %q", line)
		}
		up, err := parseUptime(words[4])
		if err != nil {
			return nil, err
		}
		moment := up - c.uptime
		if words[3] == "begin" {
			at[words[2]] = len(runs)
			runs = append(runs, history.Run{UID: words[0], Container: words[1], ID: words[2], Began: moment})
		} else if i, ok := at[words[2]]; ok {
			runs[i].Ended = moment
		} else {
			return nil, fmt.Errorf("a pod wrote %q, and never that it began", line)
		}
	}
	return runs, nil
}
