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
	"strings"
)

// ParseSubmitted reads what sbatch --parsable answers: the job's id, and the cluster's name behind it where there are several. Lines that a
// site's plugins write come before it.
func ParseSubmitted(output []byte) (string, error) {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	id, _, _ := strings.Cut(lines[len(lines)-1], ";")
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return "", fmt.Errorf("sbatch: %q names no job", cut(string(output)))
	}
	return id, nil
}

// passing are what sbatch says when SLURM can't take any job now, or can't take more of this user; it may take the same job later.
var passing = []string{
	"Unable to contact slurm controller",
	"Unable to establish controller machine",
	"Unable to establish configuration source",
	"Socket timed out",
	"Communication connection failure",
	"Communications connection failure",
	"Communication shutdown failure",
	"Communications shutdown failure",
	"Transport endpoint is not connected",
	"Connection refused",
	"Connection reset",
	"Connection timed out",
	"Broken pipe",
	"Host is down",
	"No route to host",
	"Network is unreachable",
	"Zero Bytes were transmitted or received",
	"Unexpected message received",
	"Unexpected missing socket error",
	"slurm_msg_sendto",
	"Insane message length",
	"Header lengths are longer than data received",
	"Slurm backup controller in standby mode",
	"Slurm temporarily unable to accept job",
	"Slurm job queue full",
	"Resource temporarily unavailable",
	"Protocol authentication error",
	"Invalid authentication credential",
	"Munge ",
	"munge ",
	"auth_g_",
	"I/O error writing script/environment to file",
	"No space left on device",
	"Cannot allocate memory",
	"Required partition not available (inactive or drain)",
	"MaxSubmitJob",
	"GrpSubmitJob",
	"fetch_config",
	"DNS SRV lookup failed",
	"error while loading shared libraries",
}

// Refusal is what sbatch said when it did not submit a job, and whether it will say the same for ever. Who says nothing that is known
// to be SLURM's word about the job has not refused it.
func Refusal(exitCode int, stderr []byte) (message string, final bool) {
	var lines []string
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "sbatch: "))
		line = strings.TrimPrefix(line, "error: ")
		if line != "" {
			lines = append(lines, line)
		}
	}
	message = "sbatch: " + strings.Join(lines, "; ")
	if len(lines) == 0 {
		return fmt.Sprintf("sbatch: exit code %d, and not a word", exitCode), false
	}
	// It ends with 1, or with 255 where it does not understand an option; 126 to 254 are a shell's words for programs that there are not and
	// for signals.
	if exitCode <= 0 || exitCode > 125 && exitCode != 255 || !strings.Contains(string(stderr), "sbatch: ") {
		return message, false
	}
	for _, words := range passing {
		if strings.Contains(message, words) {
			return message, false
		}
	}
	return message, true
}
