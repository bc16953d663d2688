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

package runtime

import (
	"context"
	"fmt"
	"strconv"
)

// Own gives files of the job to a group of the pod's user namespace.
func (r *podmanRuntime) Own(ctx context.Context, paths []string, group int64) error {
	args := append(r.own(), "unshare", "chown", "-R", "0:"+strconv.FormatInt(group, 10), "--")
	if _, err := r.call(ctx, append(args, paths...)...); err != nil {
		return fmt.Errorf("give the pod's volumes to group %d: %w", group, err)
	}
	return nil
}
