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

package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// timeReserve is what a job gets beyond its pod's deadline and grace period, for what comes before the pod and after it.
const timeReserve = 2 * time.Minute

func seconds(n int64) time.Duration {
	const most = int64(math.MaxInt64/time.Second) / 4
	return time.Duration(min(n, most)) * time.Second
}

// FormatTime writes a limit of time as SLURM does, in full seconds.
func FormatTime(d time.Duration) string {
	all := int64((d + time.Second - 1) / time.Second)
	days, all := all/86400, all%86400
	clock := fmt.Sprintf("%02d:%02d:%02d", all/3600, all/60%60, all%60)
	if days > 0 {
		return fmt.Sprintf("%d-%s", days, clock)
	}
	return clock
}

// ParseTime reads a limit of time in the forms that SLURM takes: M, M:S, H:M:S, D-H, D-H:M and D-H:M:S. It returns false for what has no
// number, such as UNLIMITED, and what it can't read.
func ParseTime(s string) (time.Duration, bool) {
	days, clock, hasDays := strings.Cut(s, "-")
	if !hasDays {
		days, clock = "0", s
	}
	units := []time.Duration{time.Hour, time.Minute, time.Second}
	parts := strings.Split(clock, ":")
	switch {
	case len(parts) > 3:
		return 0, false
	case !hasDays && len(parts) < 3:
		units = units[1:]
	}
	total, ok := number(days, 24*time.Hour)
	for i, part := range parts {
		value, fits := number(part, units[i])
		total, ok = total+value, ok && fits
	}
	return total, ok && total >= 0
}

func number(s string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > uint64(math.MaxInt64/8/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
