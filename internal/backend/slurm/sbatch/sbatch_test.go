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

package sbatch

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, line, want, err string }{
		{"the annotation of the recorded pod", "--time=00:10:00 --nodes=1", "--time=00:10:00 --nodes=1", ""},
		{"letters become names, with the value in the same word or the next", "-p gpu -N2 -t 5", "--partition=gpu --nodes=2 --time=5", ""},
		{"letters without values can share a word", "-OHn4", "--overcommit --hold --ntasks=4", ""},
		{"a long name takes its value from the next word", "--gres gpu:2", "--gres=gpu:2", ""},
		{"an optional value only by =", "--exclusive --nice=5", "--exclusive --nice=5", ""},
		{"quotes keep a value together", `--constraint="a b|c" --mail-user='x y'`, "--constraint=a b|c --mail-user=x y", ""},
		{"an empty value is a value", "--reservation=", "--reservation=", ""},
		{"nothing", "  ", "", ""},
		{"an abbreviation, which sbatch would take", "--comm=x", "", "write --comment in full"},
		{"an abbreviation of several", "--ntasks-per=1", "", "--ntasks-per-core or --ntasks-per-gpu"},
		{"an option that there is not", "--no-such", "", "--no-such is no option of sbatch"},
		{"a letter that there is not", "-y", "", "-y is no option"},
		{"a word that is no option", "run.sh", "", `"run.sh" is no option`},
		{"a bare --", "--", "", `"--" is no option`},
		{"a missing value", "--time", "", "--time needs a value"},
		{"a missing value of a letter", "-t", "", "-t needs a value"},
		{"a value too many", "--hold=yes", "", "--hold takes no value"},
		{"an open quote", "--time='5", "", "single quote is not closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags, err := Parse(c.line)
			check(t, err, c.err)
			var got []string
			for _, f := range flags {
				got = append(got, f.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	allowed := []string{"--time", "partition"}
	for _, c := range []struct{ name, line, err string }{
		{"what the site allows", "-t 5 --partition=main", ""},
		{"what the site does not name", "--qos=high", "--qos is not among the RemoteBackend's allowedFlags"},
		{"a line break in a value", "--time='5\n#SBATCH --uid=0'", "line break"},
		{"job name by its letter", "-J x", "--job-name can't be set by a pod"},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags, err := Parse(c.line)
			if err != nil {
				t.Fatal(err)
			}
			check(t, Check(flags, allowed), c.err)
		})
	}
	for _, name := range []string{"job-name", "comment", "output", "error", "chdir", "array", "wrap", "export", "requeue", "no-requeue", "uid", "gid"} {
		if err := Check([]Flag{{Name: name}}, []string{"--" + name}); err == nil {
			t.Errorf("--%s was allowed because the site names it", name)
		}
	}
}

func TestDirectives(t *testing.T) {
	for _, c := range []struct{ name, script, want, err string }{
		{"lines up to the first command", "#!/bin/sh\n#SBATCH --time=5\n# words\n\n#SBATCH -p main # why\necho hi\n#SBATCH --qos=late\n", "--time=5 --partition=main", ""},
		{"a # inside a value stays", "#SBATCH --constraint=a#b\n", "--constraint=a#b", ""},
		{"only the whole word SBATCH counts", "#SBATCHX --time=5\n##SBATCH --time=6\n # SBATCH --time=7\n", "", ""},
		{"an error names its line", "#!/bin/sh\n#SBATCH --tim=5\n", "", "line 2: --tim is no option of sbatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags, err := Directives(c.script)
			check(t, err, c.err)
			var got []string
			for _, f := range flags {
				got = append(got, f.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

var words = []string{
	"", " ", "plain", "a b", `"`, `'`, `''`, `\`, `\\`, "$HOME", "`id`", "$(id)", "a\nb", "\t", "ünï✓", "*", "~", "#x", "!x", "a;b&c|d>e<f", "-n", "--x=y z", "\x01", "\xff",
}

func TestQuoteIsUndoneByAShell(t *testing.T) {
	script := "for a in " + QuoteAll(words) + `; do printf '%s\0' "$a"; done`
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("a shell makes %q of it, want %q", got, words)
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range words {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Words("before " + Quote(s) + " after")
		// Words speaks of characters: what is not UTF-8 is only ever quoted, never read back here.
		if want := []string{"before", strings.ToValidUTF8(s, "\uFFFD"), "after"}; err != nil || len(got) != 3 || got[0] != want[0] || got[2] != want[2] {
			t.Fatalf("%q became %q, %v", s, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{"--time=00:10:00 --nodes=1", "-p gpu -N2", `--constraint="a b"`, "-OHn4", "--comm=x", "'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		flags, err := Parse(line)
		if err != nil {
			return
		}
		var written []string
		for _, flag := range flags {
			if _, ok := options[flag.Name]; !ok {
				t.Fatalf("%q holds --%s, which is no option", line, flag.Name)
			}
			written = append(written, Quote(flag.String()))
		}
		again, err := Parse(strings.Join(written, " "))
		if err != nil || !slices.Equal(flags, again) {
			t.Fatalf("%q was read as %v, and that as %v, %v", line, flags, again, err)
		}
	})
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatal(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Fatalf("got %v, want an error with %q", err, want)
	}
}
