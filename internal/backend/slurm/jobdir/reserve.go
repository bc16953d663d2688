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

package jobdir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// reserveSize is what is kept for the last state. It holds the states of some dozens of containers with their messages.
const reserveSize = 256 << 10

// MakeReserve allocates the file for the last state. Its blocks are written and not just promised: not every file system can promise.
func (d Dir) MakeReserve() error {
	if info, err := os.Stat(d.Reserve()); err == nil && info.Size() == reserveSize {
		return nil
	}
	return WriteFile(d.Reserve(), bytes.Repeat([]byte{' '}, reserveSize), FileMode)
}

// WriteLastState writes a state even where there is no room for a new file: over the blocks that were allocated before. What does not
// fit into them is cut where it may be: the containers' messages.
func (d Dir) WriteLastState(s State) error {
	err := d.WriteState(s)
	if err == nil || !IsFull(err) {
		return err
	}
	s.Decision.Actions = nil
	data, err := json.Marshal(s)
	if err == nil && len(data) >= reserveSize {
		s.Decision.InitContainers, s.Decision.Containers = brief(s.Decision.InitContainers), brief(s.Decision.Containers)
		data, err = json.Marshal(s)
	}
	if err != nil {
		return fmt.Errorf("write the last state: %w", err)
	}
	return d.overwriteReserve(append(data, '\n'))
}

// brief are statuses without what containers said of themselves.
func brief(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, len(statuses))
	for i := range statuses {
		statuses[i].DeepCopyInto(&out[i])
		out[i].LastTerminationState.Terminated = nil
		if t := out[i].State.Terminated; t != nil {
			t.Message = ""
		}
	}
	return out
}

func (d Dir) overwriteReserve(data []byte) error {
	if len(data) > reserveSize {
		return fmt.Errorf("write the last state: %d bytes are more than were kept for it", len(data))
	}
	f, err := os.OpenFile(d.Reserve(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write the last state: %w", err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(d.Reserve(), d.State())
	}
	if err != nil {
		return fmt.Errorf("write the last state: %w", err)
	}
	return syncDir(string(d))
}

// RemoveReserve gives back what was kept for the last state.
func (d Dir) RemoveReserve() error {
	if err := os.Remove(d.Reserve()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was kept for the last state: %w", err)
	}
	return nil
}
