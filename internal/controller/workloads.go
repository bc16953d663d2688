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

package controller

import (
	"container/list"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// workloads keeps the resolved workloads that were used last, up to a bound in bytes, so that driving a job does not read its template
// and payload each time. What falls out is read again.
type workloads struct {
	mu    sync.Mutex
	limit int
	used  int
	order *list.List // of *keptWorkload, the last used first
	byUID map[types.UID]*list.Element
}

type keptWorkload struct {
	job      types.UID
	workload *workload.Workload
	size     int
}

func newWorkloads(limit int) *workloads {
	return &workloads{limit: limit, order: list.New(), byUID: map[types.UID]*list.Element{}}
}

// get returns the workload of a RemoteJob as it was resolved for a RemoteBackend.
func (c *workloads) get(job, backend types.UID) (*workload.Workload, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byUID[job]
	if !ok {
		return nil, false
	}
	kept := element.Value.(*keptWorkload)
	if kept.workload.Backend != backend {
		c.remove(element)
		return nil, false
	}
	c.order.MoveToFront(element)
	return kept.workload, true
}

// put keeps a workload. One that is larger than the bound is not kept.
func (c *workloads) put(job types.UID, w *workload.Workload) {
	kept := &keptWorkload{job: job, workload: w, size: sizeOf(w)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byUID[job]; ok {
		c.remove(element)
	}
	c.byUID[job] = c.order.PushFront(kept)
	c.used += kept.size
	for c.used > c.limit {
		c.remove(c.order.Back())
	}
}

func (c *workloads) drop(job types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byUID[job]; ok {
		c.remove(element)
	}
}

func (c *workloads) remove(element *list.Element) {
	kept := c.order.Remove(element).(*keptWorkload)
	delete(c.byUID, kept.job)
	c.used -= kept.size
}

// sizeOf is about how many bytes a workload takes.
func sizeOf(w *workload.Workload) int {
	// overhead stands for the structures around the bytes that are counted.
	const overhead = 4 << 10
	size := overhead + len(w.JobScript)
	if w.Pod != nil {
		size += 2 * w.Pod.Size()
	}
	for _, volume := range w.Files {
		for _, file := range volume.Files {
			size += len(file.Path) + len(file.Data)
		}
	}
	return size
}
