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

package controlplane

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// BackUp copies etcd's data to a directory that does not exist yet. Meanwhile etcd is stopped.
func (cp *ControlPlane) BackUp(ctx context.Context, dir string) error {
	if err := cp.StopEtcd(ctx); err != nil {
		return err
	}
	return errors.Join(os.CopyFS(dir, os.DirFS(cp.data())), cp.StartEtcd(ctx))
}

// Restore puts the data of a backup in the place of etcd's own, and starts both parts again. What was cached of the old data anywhere else
// is wrong from then on.
func (cp *ControlPlane) Restore(ctx context.Context, dir string) error {
	if err := cp.stopBoth(ctx); err != nil {
		return err
	}
	// etcd takes no directory that others may read.
	err := errors.Join(os.RemoveAll(cp.data()), os.Mkdir(cp.data(), 0o700), os.CopyFS(cp.data(), os.DirFS(dir)))
	if err == nil {
		err = cp.StartEtcd(ctx)
	}
	if err == nil {
		err = cp.StartAPIServer(ctx)
	}
	return err
}

func (cp *ControlPlane) data() string { return filepath.Join(cp.Dir, "etcd") }
