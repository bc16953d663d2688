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

package remote

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// uploadTimeout is how long one upload may take; podrunner has some 40 MiB.
const uploadTimeout = 5 * time.Minute

// Exit codes of the scripts below.
const (
	codeThere = 73 // the directory was there already
	codeCut   = 74 // the stream was cut off
)

// uploadTree unpacks a tar stream beside the directory $1 and gives it its name when it is whole. A stream that is cut off at the end of
// a file is a good archive to tar; so the last file is a seal, which must be there. What was unpacked of a stream that was cut off goes.
const uploadTree = `set -u
umask 077
new=$(mktemp -d "$2/.upload-XXXXXXXXXX") || exit 1
trap 'rm -rf "$new"' EXIT
trap 'exit 74' HUP INT TERM
tar -xpf - --no-same-owner -C "$new" || exit 74
[ -f "$new/$3" ] || exit 74
rm "$new/$3" || exit 1
if [ -e "$1" ]; then exit 73; fi
mv -T "$new" "$1" 2>/dev/null || { [ -e "$1" ] && exit 73; echo "can't rename $new to $1" >&2; exit 1; }
trap - EXIT HUP INT TERM
`

// uploadFile writes a file beside $1 and gives it its name when it has $4 bytes.
const uploadFile = `set -u
umask 077
new=$(mktemp "$2/.upload-XXXXXXXXXX") || exit 1
trap 'rm -f "$new"' EXIT
trap 'exit 74' HUP INT TERM
cat >"$new" || exit 1
[ "$(wc -c <"$new")" -eq "$4" ] || exit 74
chmod "$3" "$new" && mv -fT "$new" "$1" || exit 1
trap - EXIT
`

// seal is the name of the last file of an upload.
const seal = ".upload-is-whole"

// UploadTree makes a directory out of a tar stream that write writes into w, all or nothing, in one call. Its parent must be there. It
// returns false when the directory is there already, and leaves that as it is. Files get the modes that the archive gives them.
func UploadTree(ctx context.Context, r Runner, dir string, write func(w *TarWriter) error) (made bool, err error) {
	made, _, err = UploadTreeThen(ctx, r, dir, write, Then{})
	return made, err
}

// Then is what a command goes on with when it has made a directory: to do both at once takes one round trip.
type Then struct {
	// Script is what to do, for the POSIX shell, and Args its $1 and so on. Its exit codes are not 73 and 74.
	Script string
	Args   []string
	// Known are the exit codes that the caller knows what to make of.
	Known []int
}

// UploadTreeThen does what UploadTree does and then something else, of which it returns the result.
func UploadTreeThen(ctx context.Context, r Runner, dir string, write func(w *TarWriter) error, then Then) (made bool, result Result, err error) {
	stdin := pipe(func(w io.Writer) error {
		archive := newTarWriter(w)
		if err := write(archive); err != nil {
			return err
		}
		return archive.seal()
	})
	defer func() { _ = stdin.Close() }()
	command := Shell(uploadTree+"shift 3\n"+then.Script, append([]string{dir, path.Dir(dir), seal}, then.Args...)...).With(stdin)
	command.Timeout = uploadTimeout
	result, err = r.Run(ctx, command)
	if failed := stdin.Failed(); failed != nil {
		return false, result, fmt.Errorf("upload %s: %w", dir, failed)
	}
	switch {
	case err != nil:
		return false, result, fmt.Errorf("upload %s: %w", dir, err)
	case result.ExitCode == codeThere:
		return false, result, nil
	case result.ExitCode == 0 || slices.Contains(then.Known, result.ExitCode):
		return true, result, nil
	}
	return false, result, uploadError(dir, result)
}

// UploadFile writes a file of size bytes, all or nothing, in place of one that may be there.
func UploadFile(ctx context.Context, r Runner, name string, mode uint32, size int64, content io.Reader) error {
	command := Shell(uploadFile, name, path.Dir(name), strconv.FormatUint(uint64(mode), 8), strconv.FormatInt(size, 10)).With(content)
	command.Timeout = uploadTimeout
	result, err := r.Run(ctx, command)
	if err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	return uploadError(name, result)
}

func uploadError(name string, result Result) error {
	switch {
	case result.ExitCode == 0:
		return nil
	case result.ExitCode == codeCut:
		return backend.Unavailable("upload %s: the stream did not arrive whole: %s", name, strings.TrimSpace(string(result.Stderr)))
	}
	return backend.Unavailable("upload %s: %w", name, result.Err())
}
