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

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// documents are all texts for people, by their paths below the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("docs/ has no texts: %v", err)
	}
	for _, file := range found {
		files = append(files, filepath.Join("docs", filepath.Base(file)))
	}
	out := map[string]string{}
	for _, file := range files {
		out[file] = read(t, file)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?\n```$")
)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	links := 0
	for file, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			path := filepath.Join(filepath.Dir(file), target)
			if target == "" {
				path = file
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, path)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", file, match[1], path)
			}
		}
	}
	if links < 10 {
		t.Errorf("found %d links only", links)
	}
}

// anchors are the names under which a text's headings can be linked to.
func anchors(text string) []string {
	var out []string
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, anchor(match[1]))
	}
	return out
}

func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
}

var (
	managerFlag = regexp.MustCompile(`\bfs\.(?:\w*Var|Var)\(&o\.[\w.]+,\s*"([a-z-]+)"`)
	namedFlag   = regexp.MustCompile("(?:^|[\\s`(])--([a-z][a-z-]+)")
)

// othersFlags are flags of other programs that the texts name.
var othersFlags = []string{
	// kubectl
	"from-file", "grace-period", "previous", "tail", "timestamps", "type", "for", "timeout", "all-namespaces", "server-side", "minify",
	"flatten", "kubeconfig", "token", "duration", "current", "user", "ignore-not-found", "clusterrole", "serviceaccount", "from-literal",
	// docker and dockerd
	"all", "filter", "live-restore", "name", "tlsverify",
	// curl
	"unix-socket", "fail", "retry", "retry-all-errors", "retry-delay",
	// sbatch, srun and squeue
	"time", "partition", "part", "job-name", "nodes", "ntasks", "exclusive", "mem", "mem-per-cpu", "gpus", "gres", "licenses", "no-requeue", "kill-on-bad-exit", "format",
	"start", "qos", "deadline", "constraint", "account",
	// apptainer and podman
	"containall", "nv", "rocm", "network",
}

// pluginFlag is a flag of kubectl's plugin.
var pluginFlag = regexp.MustCompile(`(?:flags|Flags\(\))\.\w+Var\w*\(&[\w.]+,\s*"([a-z-]+)"`)

func TestTheFlagsOfTheManagerAreInTheTextsAndNoOthers(t *testing.T) {
	flags := map[string]bool{}
	for _, match := range managerFlag.FindAllStringSubmatch(sources(t, "cmd/manager"), -1) {
		flags[match[1]] = true
	}
	if len(flags) < 10 {
		t.Fatalf("found %d flags of the manager only", len(flags))
	}
	plugins := map[string]bool{}
	for _, match := range pluginFlag.FindAllStringSubmatch(sources(t, "cmd/kubectl-remotejob"), -1) {
		plugins[match[1]] = true
	}
	if len(plugins) < 20 {
		t.Fatalf("found %d flags of the plugin only", len(plugins))
	}
	for file, text := range documents(t) {
		for _, match := range namedFlag.FindAllStringSubmatch(text, -1) {
			if name := match[1]; !flags[name] && !plugins[name] && !slices.Contains(othersFlags, name) && !strings.HasPrefix(name, "zap-") {
				t.Errorf("%s names the flag --%s, which the manager does not have", file, name)
			}
		}
	}
	for name := range flags {
		if !strings.Contains(read(t, "docs/operations.md"), "`--"+name+"`") {
			t.Errorf("docs/operations.md says nothing of --%s", name)
		}
	}
}

// sources are the Go files of a package, without its tests, as one text.
func sources(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no Go files: %v", dir, err)
	}
	var out strings.Builder
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			out.WriteString(read(t, filepath.Join(dir, filepath.Base(file))))
		}
	}
	return out.String()
}

func TestTheReasonsThatPeopleMeetAreExplained(t *testing.T) {
	text, n := read(t, "docs/troubleshooting.md")+read(t, "docs/operations.md"), 0
	named := regexp.MustCompile(`(?m)^(?:const |\s+)([rR]eason\w+)\s+= "(\w+)"`)
	literal := regexp.MustCompile(`backend\.(Rejected)\("(\w+)"`)
	for _, dir := range []string{
		"internal/controller", "internal/podlifecycle", "internal/workload", "internal/ledger", "internal/backend", "internal/backend/docker",
		"internal/backend/slurm", "internal/backend/slurm/jobdir", "internal/backend/slurm/podrun", "internal/backend/slurm/queue",
		"internal/backend/slurm/runtime", "internal/backend/slurm/script",
	} {
		code := sources(t, dir)
		for _, match := range slices.Concat(named.FindAllStringSubmatch(code, -1), literal.FindAllStringSubmatch(code, -1)) {
			// A reason that the package only declares, and does not offer to others, is met by nobody.
			if strings.Count(code, match[1]) < 2 && !strings.HasPrefix(match[1], "R") {
				continue
			}
			n++
			if !strings.Contains(text, "`"+match[2]+"`") {
				t.Errorf("docs/troubleshooting.md does not say what %s means (%s)", match[2], dir)
			}
		}
	}
	if n < 70 {
		t.Errorf("found %d reasons only", n)
	}
}

// othersWords are what other programs say, as docs/troubleshooting.md quotes it.
var othersWords = []string{
	"invalid partition specified: ", "unable to authenticate", "permission denied", "Permission denied", "leader election lost", "cannot list", "Forbidden",
}

func TestWhatTroubleshootingQuotesIsWhatTheProductSays(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"internal", "cmd", "config/policy"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			code.Write(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all, n := code.String(), 0
	for line := range strings.Lines(fence.ReplaceAllString(read(t, "docs/troubleshooting.md"), "")) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, quote := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(regexp.MustCompile("`[^`]*`").ReplaceAllString(line, ""), -1) {
			for part := range strings.SplitSeq(quote[1], "…") {
				if part = strings.TrimRight(part, " "); strings.TrimSpace(part) == "" {
					continue
				}
				n++
				known := strings.Contains(all, strings.TrimSpace(part)) || slices.ContainsFunc(othersWords, func(w string) bool { return strings.TrimSpace(w) == strings.TrimSpace(part) })
				if !known {
					t.Errorf("docs/troubleshooting.md quotes %q, and nothing says so", part)
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("found %d quotes only", n)
	}
}

func TestEverySettingOfABackendIsExplained(t *testing.T) {
	definition, err := readCRD(filepath.Join(root, "config", "crd", "bases", "remotejob.dev_remotebackends.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	spec := definition.Spec.Versions[0].Schema.OpenAPI.Properties["spec"]
	security, operations := read(t, "docs/security.md"), read(t, "docs/operations.md")
	for name := range spec.Properties["policy"].Properties {
		if strings.Count(security, "| `"+name+"` | ") < 2 { // in the table by hand, and in the generated one
			t.Errorf("docs/security.md does not explain policy.%s", name)
		}
	}
	settings := []string{"maxActiveJobs"}
	for _, part := range []string{"docker", "virtualNode"} {
		for name := range spec.Properties[part].Properties {
			settings = append(settings, part+"."+name)
		}
	}
	if len(settings) < 7 {
		t.Errorf("found %d settings only", len(settings))
	}
	for _, name := range settings {
		if !strings.Contains(operations, "`"+name+"`") {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
}

func TestTheMakeTargetsOfTheTextsAreThere(t *testing.T) {
	makefile := read(t, "Makefile")
	for file, text := range documents(t) {
		for _, match := range regexp.MustCompile("(?m)(?:^|`)make ([a-z0-9-]+)").FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^([a-z0-9 -]* )?` + match[1] + `( [a-z0-9 -]*)?:`).MatchString(makefile) {
				t.Errorf("%s names make %s, which the Makefile does not have", file, match[1])
			}
		}
	}
}

func TestTheTestsOfTheTextsAreThere(t *testing.T) {
	var tests strings.Builder
	for _, dir := range []string{"api", "cmd", "hack", "internal", "test"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			tests.Write(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := tests.String()
	for file, text := range documents(t) {
		for _, name := range regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`).FindAllString(text, -1) {
			if !strings.Contains(all, "func "+name+"(") {
				t.Errorf("%s names %s, which is no test", file, name)
			}
		}
	}
}

func TestWhatStandsBetweenTablesIsKept(t *testing.T) {
	text := "before\n" + regionBegin + "a" + regionOpened + "old\n" + regionEnd + "between\n" + regionBegin + "b" + regionOpened + regionEnd + "after\n"
	want := strings.Replace(strings.Replace(text, "old\n", "new\n", 1), "b"+regionOpened, "b"+regionOpened+"two\n", 1)
	got, names, err := replaceRegions(text, map[string]string{"a": "new\n", "b": "two\n"})
	if err != nil || got != want || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%v %v:\n%s", err, names, got)
	}
	for name, broken := range map[string]string{
		"a table that nobody makes": regionBegin + "c" + regionOpened + regionEnd,
		"a table without an end":    regionBegin + "a" + regionOpened,
		"a table without a name":    regionBegin,
	} {
		if _, _, err := replaceRegions(broken, map[string]string{"a": ""}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestEveryFieldHasItsRow(t *testing.T) {
	table := podFields()
	for _, row := range []string{"| `containers` |", "| `image` |", "| `tcpSocket.port` |", "| `secret.items[*].mode` |", "| `slurm-job.vk.io/flags` |", "| `jobScript` |", "| `metadata.namespace` |"} {
		if strings.Count(table, "\n"+row) != 1 {
			t.Errorf("the table has %d rows %s", strings.Count(table, "\n"+row), row)
		}
	}
	for _, s := range sections {
		if s.intro != "" && !strings.Contains(table, "### "+s.title+"\n") {
			t.Errorf("the table has no section %s", s.title)
		}
	}
}

// Keys of the configurations of the plugins that people come from, as the types say that these read them.
var (
	slurmPluginKeys = []string{
		"VKConfigPath", "SbatchPath", "ScancelPath", "SqueuePath", "SinfoPath", "SidecarPort", "Socket", "ExportPodData", "CommandPrefix", "ImagePrefix",
		"DataRootFolder", "Namespace", "Tsocks", "TsocksPath", "TsocksLoginNode", "BashPath", "VerboseLogging", "ErrorsOnlyLogging",
		"SingularityDefaultOptions", "SingularityPrefix", "SingularityPath", "EnableProbes", "EnrootDefaultOptions", "EnrootPrefix", "EnrootPath",
		"ContainerRuntime", "Flavors", "Name", "Description", "CPUDefault", "MemoryDefault", "UID", "SlurmFlags", "DefaultFlavor", "DefaultUID",
	}
	dockerPluginKeys = []string{
		"VKConfigPath", "SidecarPort", "Socket", "ExportPodData", "CommandPrefix", "ImagePrefix", "DataRootFolder", "Namespace", "Tsocks", "TsocksPath",
		"TsocksLoginNode", "BashPath", "VerboseLogging", "ErrorsOnlyLogging", "SingularityDefaultOptions", "SingularityPrefix", "SingularityPath",
		"EnableProbes", "FPGAEnabled", "XilinxToolsPath", "VitisPath", "XRTPath",
	}
)

func TestEveryKeyOfThePluginsThatPeopleComeFromHasARow(t *testing.T) {
	text := read(t, "docs/migrating.md")
	for plugin, keys := range map[string][]string{"interlink-slurm-plugin": slurmPluginKeys, "interlink-docker-plugin": dockerPluginKeys} {
		_, section, found := strings.Cut(text, "\n## "+plugin+"\n")
		if !found {
			t.Fatalf("docs/migrating.md has no section on %s", plugin)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		var first strings.Builder // what stands in the first column
		for line := range strings.Lines(section) {
			if row, ok := strings.CutPrefix(line, "| "); ok {
				cell, _, _ := strings.Cut(row, " | ")
				first.WriteString(cell + "\n")
			}
		}
		for _, key := range keys {
			if !strings.Contains(first.String(), "`"+key+"`") {
				t.Errorf("docs/migrating.md has no row for %s of %s", key, plugin)
			}
		}
	}
}
