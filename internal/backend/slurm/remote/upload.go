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
	"crypto/rand"
	"fmt"
	"io"
	"path"
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

// unpack unpacks a tar stream into the new directory $1, $new, which goes with the script. A stream that is cut off at the end of a file is a
// good archive to tar; so the last file is a seal, $2, which must be there. Where the line is cut, a script that says something gets SIGPIPE,
// at which a shell goes without its trap for EXIT. The directory's name is known before there is one, and what removes it takes no notice of
// a signal, which all of the script's processes get: so nothing stays whenever the script is cut off.
const unpack = `set -u
umask 077
new=$1
trap 'trap "" HUP INT TERM PIPE; rm -rf "$new"' EXIT
trap 'exit 74' HUP INT TERM PIPE
mkdir "$new" || exit 1
tar -xpf - --no-same-owner -C "$new" || exit 74
[ -f "$new/$2" ] || exit 74
shift 2
`

// newUpload is a path for an upload below a directory, which nobody else has.
func newUpload(dir string) string { return path.Join(dir, ".upload-"+rand.Text()) }

// placeTree gives the directory that was unpacked the name $1.
const placeTree = `rm "$new/` + seal + `" || exit 1
if [ -e "$1" ]; then exit 73; fi
mv -T "$new" "$1" 2>/dev/null || { [ -e "$1" ] && exit 73; echo "can't rename $new to $1" >&2; exit 1; }
trap - EXIT HUP INT TERM
`

// uploadFile writes the file $2 and gives it the name $1 when it has $4 bytes.
const uploadFile = `set -u
umask 077
new=$2
trap 'trap "" HUP INT TERM PIPE; rm -f "$new"' EXIT
trap 'exit 74' HUP INT TERM PIPE
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
	result, err := Unpack(ctx, r, path.Dir(dir), write, placeTree, dir)
	switch {
	case err != nil:
		return false, fmt.Errorf("upload %s: %w", dir, err)
	case result.ExitCode == codeThere:
		return false, nil
	}
	return result.ExitCode == 0, uploadError(dir, result)
}

// Unpack unpacks a tar stream that write writes into w, whole or not at all, into a new directory below parent, and runs a script for the
// POSIX shell with that directory's name in $new and args in $1 and so on. What the script leaves in the directory is removed. Its exit
// code is not 74: that says that the stream did not arrive whole.
func Unpack(ctx context.Context, r Runner, parent string, write func(w *TarWriter) error, script string, args ...string) (Result, error) {
	stdin := pipe(func(w io.Writer) error {
		archive := newTarWriter(w)
		if err := write(archive); err != nil {
			return err
		}
		return archive.seal()
	})
	defer func() { _ = stdin.Close() }()
	command := Shell(unpack+script, append([]string{newUpload(parent), seal}, args...)...).With(stdin)
	command.Timeout = uploadTimeout
	result, err := r.Run(ctx, command)
	if failed := stdin.Failed(); failed != nil {
		return result, failed
	}
	if err == nil && result.ExitCode == codeCut {
		err = notWhole(result)
	}
	return result, err
}

// UploadFile writes a file of size bytes, all or nothing, in place of one that may be there.
func UploadFile(ctx context.Context, r Runner, name string, mode uint32, size int64, content io.Reader) error {
	command := Shell(uploadFile, name, newUpload(path.Dir(name)), strconv.FormatUint(uint64(mode), 8), strconv.FormatInt(size, 10)).With(content)
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
		return backend.Unavailable("upload %s: %w", name, notWhole(result))
	}
	return backend.Unavailable("upload %s: %w", name, result.Err())
}

func notWhole(result Result) error {
	return backend.Unavailable("the stream did not arrive whole: %s", strings.TrimSpace(string(result.Stderr)))
}
