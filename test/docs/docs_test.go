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

package docs

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
)

// inCluster has those blocks run that take a cluster with kubelets, and no others. They bring one up, and use the Docker engine and the base
// images that the environment names.
var inCluster = flag.Bool("cluster", false, "run the blocks that take a cluster, and no others")

// first are the pages that others go on from. The rest follows by name, and those that bring up what they need come last.
var first = []string{"README.md", "docs/kubectl.md", "docs/operations.md"}

// ownStack are the pages that bring up what they need. What README.md has left running is ended before them.
var ownStack = []string{"docs/slurm.md"}

// clusterPages are those whose blocks are all for a cluster.
var clusterPages = []string{"docs/install.md"}

// notRun are the blocks that are not run, by their first words. It is checked, so that none is left out by the way.
var notRun = []string{
	"README.md: make test",
}

// Readers have files of their own that a page speaks of, and a cluster with more in it than the operator.
var (
	files = []string{"cert.pem", "key.pem", "ca.pem", "id_ed25519", "known_hosts"}
	kinds = map[string]string{"PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"}
)

const (
	blockWithin = 8 * time.Minute
	endWithin   = 90 * time.Second
)

// pages are all documents with commands, in the order in which they are read.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(harness.Root(), "docs", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("docs/ has no texts: %v", err)
	}
	list := slices.Clone(first)
	for _, file := range found {
		page := "docs/" + filepath.Base(file)
		if !slices.Contains(list, page) && !slices.Contains(ownStack, page) {
			list = append(list, page)
		}
	}
	return append(list, ownStack...)
}

// blocksOf are a page's blocks of one language.
func blocksOf(t *testing.T, page, language string) []Block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	all, err := Blocks(page, string(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []Block
	for _, b := range all {
		if slices.Contains(clusterPages, page) {
			b.Cluster = true
		}
		if b.Language == language {
			out = append(out, b)
		}
	}
	return out
}

func TestOnlyFewBlocksAreNotRunAndEachForAReason(t *testing.T) {
	left := slices.Clone(notRun)
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page, "sh") {
			if b.NotRun == "" {
				continue
			}
			at := slices.IndexFunc(left, func(entry string) bool { return strings.HasPrefix(page+": "+b.Content, entry) })
			if at < 0 {
				t.Errorf("%s:%d is not run (%s), and is not among those that may be left out", page, b.Line, b.NotRun)
				continue
			}
			left = slices.Delete(left, at, at+1)
		}
	}
	if len(left) > 0 {
		t.Errorf("these may be left out, and are not: %q", left)
	}
}

// TestTheCommandsOfTheDocumentsDoWhatTheySay begins as a newcomer does, with a copy of the sources, and goes through README.md and then
// through the other documents.
func TestTheCommandsOfTheDocumentsDoWhatTheySay(t *testing.T) {
	if err := harness.NeedRoot(); err != nil {
		skip.Lacking(t, "%v", err)
	}
	s := newcomer(t)
	stopped := false
	for _, page := range pages(t) {
		blocks := slices.DeleteFunc(blocksOf(t, page, "sh"), func(b Block) bool { return b.NotRun != "" || b.Cluster != *inCluster })
		if len(blocks) == 0 {
			continue
		}
		if slices.Contains(ownStack, page) && !stopped {
			s.interrupt(endWithin)
			stopped = true
		}
		if !t.Run(filepath.Base(page), func(t *testing.T) { follow(t, s, blocks) }) {
			t.Fatal("the next page goes on from here")
		}
		if page == "README.md" && !*inCluster {
			s.readersCluster(t)
		}
	}
}

// follow runs a page's blocks. What they leave running ends with the page, but for README.md, whose operator the others use.
func follow(t *testing.T, s *shell, blocks []Block) {
	before := s.background
	s.background = nil
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if blocks[0].Page == "README.md" {
			return
		}
		s.interrupt(endWithin)
		s.background = before
	}()
	for i := range blocks {
		b := &blocks[i]
		began := time.Now()
		ctx, cancel := context.WithTimeout(harness.Context(t), blockWithin)
		out, err := s.run(ctx, b)
		cancel()
		if err == nil {
			err = Printed(b.Expected, out)
		}
		if err != nil {
			t.Fatalf("%s:%d: %v\n%s\nsays:\n%s", b.Page, b.Line, err, b.Content, out)
		}
		t.Logf("%s:%d: %s", b.Page, b.Line, time.Since(began).Round(100*time.Millisecond))
	}
}

// newcomer is a shell in a copy of the sources, in a network of its own, where the ports that the documents name are free, with an
// engine. What is built already is taken along: it is what the first commands would make.
func newcomer(t *testing.T) *shell {
	t.Helper()
	dir := t.TempDir()
	s := &shell{dir: dir, root: filepath.Join(dir, "remotejob-operator")}
	if err := copySources(harness.Root(), s.root); err != nil {
		t.Fatal(err)
	}
	if *inCluster {
		s.env = append(os.Environ(), "KUBECONFIG=")
		s.engineOfACluster(t)
		s.registry(t)
		t.Cleanup(func() {
			if out, err := s.run(context.Background(), &Block{Content: "cd '" + s.root + "' && bin/dev cluster-down"}); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		return s
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(s.root, file), []byte(file+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(harness.Context(t), image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	s.env = append(os.Environ(), "HOME="+home, "DOCKER_HOST="+engine.Host, "KUBECONFIG=")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GOFLAGS"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, name+"="+strings.TrimSpace(string(value)))
	}
	network, err := ownNetwork(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Kill() })
	s.within = []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", network.Pid())}
	t.Cleanup(func() { s.interrupt(endWithin) })
	if _, err := os.Stat("/run/remotejob"); err != nil {
		t.Cleanup(func() { _ = os.RemoveAll("/run/remotejob") })
	}
	return s
}

// ownNetwork is the holder of a network of which there is nothing but the loopback interface. kube-apiserver wants an address that others
// could reach, and a way to them: here it leads nowhere.
func ownNetwork(dir string) (*harness.Process, error) {
	ready := filepath.Join(dir, "network.ready")
	holder, err := harness.Start("holder of a network", filepath.Join(dir, "network.log"), nil,
		"unshare", "--net", "sh", "-c", `ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip route add default dev lo && touch "$0" && exec sleep infinity`, ready)
	if err != nil {
		return nil, err
	}
	return holder, harness.Poll(time.Minute, func() error {
		_, err := os.Stat(ready)
		return err
	})
}

// copySources copies the sources, and what has been built of them and of the control plane.
func copySources(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains([]string{"bin", "dist", ".git"}, e.Name()) {
			continue
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(from, e.Name()), to).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w: %s", e.Name(), err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(to, "bin"), 0o755); err != nil {
		return err
	}
	built, err := os.ReadDir(filepath.Join(from, "bin"))
	if err != nil {
		return err
	}
	for _, e := range built {
		target := filepath.Join(to, "bin", e.Name())
		switch {
		case e.Name() == "k8s" || e.Name() == "cluster":
			err = os.Symlink(filepath.Join(from, "bin", e.Name()), target)
		case e.Type()&fs.ModeType == 0:
			err = exec.Command("cp", "-a", filepath.Join(from, "bin", e.Name()), target).Run()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// engineOfACluster starts the engine that readers have for a cluster's jobs, and does with it what the documents leave to them: its address
// stands in the overlay, and there is a certificate for it.
func (s *shell) engineOfACluster(t *testing.T) {
	t.Helper()
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(harness.Context(t), image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	authority := certs.NewAuthority(t, "engines")
	pair, identity := authority.Server("engine", clusterHost), authority.Client("manager")
	front, err := harness.NewEngineTLS("0.0.0.0:0", engine.Host, &tls.Config{
		Certificates: []tls.Certificate{pair.TLS(t)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(), MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	at, err := url.Parse(front.Host)
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(s.root, "config", "overlays", "docker", "remotebackend.yaml")
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	const example = "tcp://docker.example.org:2376"
	if !strings.Contains(string(text), example) {
		t.Fatalf("%s does not name %s", overlay, example)
	}
	ours := strings.ReplaceAll(string(text), example, "tcp://"+net.JoinHostPort(clusterHost.String(), at.Port()))
	for file, content := range map[string][]byte{
		overlay: []byte(ours), filepath.Join(s.root, "cert.pem"): identity.Cert, filepath.Join(s.root, "key.pem"): identity.Key,
		filepath.Join(s.root, "ca.pem"): authority.PEM,
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// registry is the one on their own machine that readers push to.
func (s *shell) registry(t *testing.T) {
	t.Helper()
	config := filepath.Join(s.dir, "registry.yml")
	text := "version: 0.1\nstorage: {filesystem: {rootdirectory: " + filepath.Join(s.dir, "registry") + "}}\nhttp: {addr: 127.0.0.1:5000}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	registry, err := harness.Start("registry", filepath.Join(s.dir, "registry.log"), nil, "docker-registry", "serve", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Kill() })
}

// clusterHost is at which address the first cluster on a machine reaches it.
var clusterHost = net.IPv4(198, 18, 0, 1)

// readersCluster puts into the control plane what readers have there, and the documents do not bring: the kinds of Prometheus' operator,
// and a namespace for what is monitored.
func (s *shell) readersCluster(t *testing.T) {
	t.Helper()
	var manifests strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&manifests, `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]s.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: %[1]s, plural: %[2]s}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`, kind, kinds[kind])
	}
	out, err := s.run(harness.Context(t), &Block{Content: "kubectl create namespace monitoring\nkubectl apply -f - <<'EOF'\n" + manifests.String() + "EOF\n" +
		"kubectl wait crd --all --for=condition=Established --timeout=30s\n"})
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
