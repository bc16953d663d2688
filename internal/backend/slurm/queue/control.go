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

package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// VersionArgs is the command that tells SLURM's version.
func VersionArgs() []string { return []string{"squeue", "--version"} }

// Version is a release of SLURM.
type Version struct {
	Major, Minor int
	// Text is all of it, such as 22.05.8.
	Text string
}

// ParseVersion reads the answer to VersionArgs, such as "slurm 23.11.4" or Debian's "slurm-wlm 22.05.8".
func ParseVersion(output []byte) (Version, error) {
	name, text, ok := strings.Cut(strings.TrimSpace(string(output)), " ")
	numbers := strings.SplitN(text, ".", 3)
	if !ok || !strings.HasPrefix(name, "slurm") || len(numbers) < 2 {
		return Version{}, fmt.Errorf("%q is no version of SLURM", cut(string(output)))
	}
	v := Version{Text: text}
	var err1, err2 error
	v.Major, err1 = strconv.Atoi(numbers[0])
	v.Minor, err2 = strconv.Atoi(numbers[1])
	if err1 != nil || err2 != nil || v.Major < 0 || v.Minor < 0 {
		return Version{}, fmt.Errorf("%q is no version of SLURM", cut(string(output)))
	}
	return v, nil
}

// String is the version for people.
func (v Version) String() string { return "slurm " + v.Text }

// Oldest is the oldest release whose commands are known to answer as they are read here.
var Oldest = Version{Major: 20, Minor: 11, Text: "20.11"}

// Before tells whether v is older than other.
func (v Version) Before(other Version) bool {
	return v.Major < other.Major || v.Major == other.Major && v.Minor < other.Minor
}

// ConfigArgs is the command that tells how SLURM is configured. It asks slurmctld, and so tells whether that answers.
func ConfigArgs() []string { return []string{"scontrol", "show", "config"} }

// Config is what matters of a cluster's configuration.
type Config struct {
	// ClusterName is the cluster's.
	ClusterName string
	// Accounting tells whether sacct has something to tell.
	Accounting bool
	// KillWait is the time between TERM and KILL when a job is at its end, 30 s where SLURM did not say.
	KillWait time.Duration
	// MinJobAge is how long squeue knows of a job that has ended; 0 for ever, 5 minutes where SLURM did not say.
	MinJobAge time.Duration
	// ProctrackType is how SLURM finds a job's processes.
	ProctrackType string
}

// ParseConfig reads the answer to ConfigArgs.
func ParseConfig(output []byte) (Config, error) {
	values := map[string]string{}
	for line := range strings.Lines(string(output)) {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if values["ClusterName"] == "" {
		return Config{}, fmt.Errorf("scontrol: the configuration names no cluster: %q", cut(string(output)))
	}
	storage := values["AccountingStorageType"]
	return Config{
		ClusterName:   values["ClusterName"],
		Accounting:    strings.HasPrefix(storage, "accounting_storage/slurmdbd"),
		KillWait:      secondsOr(values["KillWait"], 30*time.Second),
		MinJobAge:     secondsOr(values["MinJobAge"], 5*time.Minute),
		ProctrackType: values["ProctrackType"],
	}, nil
}

// secondsOr reads a number of seconds as in "30 sec".
func secondsOr(s string, otherwise time.Duration) time.Duration {
	number, _, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return otherwise
	}
	return time.Duration(n) * time.Second
}
