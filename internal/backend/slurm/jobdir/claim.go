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
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Supersedes tells whether a claim may take the place of the one that is there: the same job, started anew by SLURM. The node that ran
// it before may be lost and its claim can't be given back.
func (c Claim) Supersedes(holder Claim) bool {
	return c.JobID != "" && c.JobID == holder.JobID && !holder.Cancelled && c.RestartCount > holder.RestartCount
}

// Same tells whether two claims are one.
func (c Claim) Same(other Claim) bool {
	return c.Nonce == other.Nonce && c.JobID == other.JobID && c.RestartCount == other.RestartCount && c.Cancelled == other.Cancelled
}

// maxTakes bounds how often a claim that changed under our hands is looked at again.
const maxTakes = 10

// Take takes the job's claim and returns who holds it; won is set where that is the caller. A job's directory that is not there is a lost
// claim, an error that is fs.ErrNotExist: it is never made here.
//
// The claim is taken by link(2), which is atomic on every NFS, unlike an exclusive create; and what link says is not trusted, since the
// answer may be lost and the question repeated: whether the file has two names decides.
func (d Dir) Take(c Claim) (holder Claim, won bool, err error) {
	if c.Nonce == "" {
		c.Nonce = rand.Text()
	}
	for range maxTakes {
		holder, won, err = d.takeOnce(c)
		if err != nil || won || !c.Supersedes(holder) {
			return holder, won, err
		}
		if err := d.Retake(c); err != nil {
			return holder, false, err
		}
	}
	return holder, false, fmt.Errorf("take the claim %s: it keeps changing", d.Claim())
}

// Retake puts a claim that supersedes the one that is there in its place. Two of the same job may do so at the same time where a node was
// lost and still runs: each looks again before it writes anything, the higher count takes the claim again and the lower one leaves.
func (d Dir) Retake(c Claim) error {
	return writeJSON(d.Claim(), c)
}

func (d Dir) takeOnce(c Claim) (holder Claim, won bool, err error) {
	mine := d.Claim() + "." + c.Nonce
	if err := writeJSON(mine, c); err != nil {
		return holder, false, err
	}
	defer func() { _ = os.Remove(mine) }()
	linkErr := os.Link(mine, d.Claim())
	var stat syscall.Stat_t
	if err := syscall.Stat(mine, &stat); err != nil {
		return holder, false, fmt.Errorf("look at the claim %s: %w", mine, err)
	}
	if stat.Nlink >= 2 {
		return c, true, syncDir(string(d))
	}
	if linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
		return holder, false, fmt.Errorf("take the claim: %w", linkErr)
	}
	holder, err = d.ReadClaim()
	return holder, err == nil && holder.Same(c), err
}

// ReadClaim reads who holds the job. Without a claim it is an error that is fs.ErrNotExist.
func (d Dir) ReadClaim() (Claim, error) { return readJSON[Claim](d.Claim()) }
