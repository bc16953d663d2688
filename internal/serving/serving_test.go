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

package serving_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/remotejob-dev/remotejob-operator/internal/serving"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
)

func TestAnAddressIsReadAsItIsWrittenInAFlag(t *testing.T) {
	for text, want := range map[string]serving.Address{
		"127.0.0.1:4000":             {Network: "tcp", Address: "127.0.0.1:4000"},
		"[::1]:4000":                 {Network: "tcp", Address: "[::1]:4000"},
		":4000":                      {Network: "tcp", Address: ":4000"},
		"unix:///run/remotejob.sock": {Network: "unix", Address: "/run/remotejob.sock"},
		"hpc=127.0.0.1:4001":         {Backend: "hpc", Network: "tcp", Address: "127.0.0.1:4001"},
		"hpc.site=unix:///a=b":       {Backend: "hpc.site", Network: "unix", Address: "/a=b"},
	} {
		got, listen, err := serving.ParseAddress(text)
		if err != nil || !listen || got != want || got.String() != text {
			t.Errorf("%s is read as %+v (%s), %t, %v", text, got, got, listen, err)
		}
	}
	if _, listen, err := serving.ParseAddress("0"); err != nil || listen {
		t.Errorf("0 is read as %t, %v", listen, err)
	}
	for _, text := range []string{"", "4000", "localhost", "unix://run/x", "unix:///", "http://127.0.0.1:4000", "HPC=127.0.0.1:1", "=127.0.0.1:1", "127.0.0.1:1/x", "hpc=", "127.0.0.1:port", "127.0.0.1:70000"} {
		if got, _, err := serving.ParseAddress(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
}

func address(t *testing.T, text string) serving.Address {
	t.Helper()
	a, _, err := serving.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhatOthersCanReachAsksThemWhoTheyAre(t *testing.T) {
	for text, local := range map[string]bool{
		"127.0.0.1:4000": true, "localhost:4000": true, "[::1]:4000": true, "127.9.9.9:4000": true, "unix:///run/s": true,
		":4000": false, "0.0.0.0:4000": false, "[::]:4000": false, "10.0.0.1:4000": false, "example.org:4000": false, "localhost.example.org:4000": false,
		"[::ffff:10.0.0.1]:4000": false,
	} {
		for _, p := range []serving.Protection{{}, {TLS: true}, {Asks: true}, {TLS: true, Asks: true}} {
			err := p.Check([]serving.Address{address(t, "127.0.0.1:1"), address(t, text)}, "--some-flag", "--insecure")
			if want := local || p.Asks; (err == nil) != want {
				t.Errorf("%s with %+v: %v", text, p, err)
			}
			if err != nil {
				for _, word := range []string{text, "other machines", "asks nobody who they are", "--some-flag", "--insecure"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%s with %+v: %q does not say %q", text, p, err, word)
					}
				}
			}
		}
	}
}

func TestASocketLetsInWhomItIsFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		socket serving.Socket
		mode   os.FileMode
		gid    uint32
	}{
		{serving.Socket{}, 0o660, uint32(os.Getegid())},
		{serving.Socket{Mode: 0o600}, 0o600, uint32(os.Getegid())},
		{serving.Socket{Mode: 0o666, Group: fmt.Sprint(os.Getegid())}, 0o666, uint32(os.Getegid())},
		{serving.Socket{Group: "12345"}, 0o660, 12345},
	} {
		listener, err := serving.Listen(address(t, "unix://"+path), c.socket)
		if c.gid == 12345 && os.Geteuid() != 0 {
			if err == nil {
				t.Error("somebody else's group is taken")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Gid; info.Mode().Perm() != c.mode || got != c.gid {
			t.Errorf("%+v: mode %v, group %d", c.socket, info.Mode(), got)
		}
		_ = listener.Close()
	}
	if group, err := user.LookupGroupId(fmt.Sprint(os.Getegid())); err == nil {
		listener, err := serving.Listen(address(t, "unix://"+path), serving.Socket{Group: group.Name})
		if err != nil {
			t.Fatalf("a group by its name: %v", err)
		}
		_ = listener.Close()
	}
	if _, err := serving.Listen(address(t, "unix://"+path), serving.Socket{Group: "no-such-group"}); err == nil {
		t.Error("a group that is none is taken")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a socket that could not be given to its group is left behind")
	}
}

// dialAs tries a socket as another user, who is in one group.
func dialAs(path string, uid, gid int) error {
	answer := make(chan error)
	go func() {
		// The thread ends with the goroutine: it has another user for good.
		runtime.LockOSThread()
		// The library's functions would change all threads.
		raw := func(call, a, b, c uintptr) error {
			if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
				return e
			}
			return nil
		}
		u, g := uintptr(uid), uintptr(gid)
		err := errors.Join(raw(unix.SYS_SETGROUPS, 0, 0, 0), raw(unix.SYS_SETRESGID, g, g, g), raw(unix.SYS_SETRESUID, u, u, u))
		if err == nil {
			var fd int
			if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err == nil {
				err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
				_ = unix.Close(fd)
			}
		}
		answer <- err
	}()
	return <-answer
}

func TestAnotherUserOfTheMachineCannotUseASocketThatIsNotForThem(t *testing.T) {
	if os.Geteuid() != 0 {
		skip.Lacking(t, "to become another user takes root")
	}
	dir, err := os.MkdirTemp("", "socket-") //nolint:usetesting // t.TempDir lies in a directory that no other user can pass
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the directory keeps nobody out: it is the socket that does
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := serving.Listen(address(t, "unix://"+path), serving.Socket{Group: "12345"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := dialAs(path, 65534, 65534); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a stranger: %v", err)
	}
	if err := dialAs(path, 65534, 12345); err != nil {
		t.Errorf("one of the group: %v", err)
	}
}

func TestTheModeOfASocketIsReadAsChmodReadsIt(t *testing.T) {
	for text, want := range map[string]os.FileMode{"0660": 0o660, "600": 0o600, "0777": 0o777} {
		if got, err := serving.ParseSocketMode(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "060", "1777", "rw", "0o660", "888", "-1"} {
		if got, err := serving.ParseSocketMode(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestASocketThatNobodyAnswersAtIsReplacedAndNothingElseIs(t *testing.T) {
	dir := t.TempDir()
	stale, file := filepath.Join(dir, "stale"), filepath.Join(dir, "file")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	listener, err := serving.Listen(address(t, "unix://"+stale), serving.Socket{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Listen(address(t, "unix://"+stale), serving.Socket{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one at the socket: %v", err)
	}
	_ = listener.Close()
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Listen(address(t, "unix://"+file), serving.Socket{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the place of the socket: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "mine" {
		t.Errorf("the file: %q, %v", kept, err)
	}
}

func TestAFileIsReadAgainAndWhatCantBeReadChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	parse := func(content []byte) (string, error) {
		if bytes.Contains(content, []byte("bad")) {
			return "", errors.New("it is bad")
		}
		return string(content), nil
	}
	if _, err := serving.NewFile(path, logr.Discard(), parse); err == nil {
		t.Error("a file that is not there is taken at the start")
	}
	certs.Write(t, path, []byte("bad"))
	if _, err := serving.NewFile(path, logr.Discard(), parse); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a bad file at the start: %v", err)
	}
	certs.Write(t, path, []byte("one"))
	f, err := serving.NewFile(path, logr.Discard(), parse)
	if err != nil || f.Get() != "one" {
		t.Fatalf("%q, %v", f.Get(), err)
	}
	says := func(want string) {
		t.Helper()
		harness.Eventually(t, 5*time.Second, "the file says "+want, func() error {
			if got := f.Get(); got != want {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	}
	certs.Write(t, path, []byte("two"))
	says("two")
	certs.Write(t, path, []byte("bad"))
	harness.Always(t, 1500*time.Millisecond, "a bad change", func() error {
		if got := f.Get(); got != "two" {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	harness.Always(t, 1500*time.Millisecond, "no file", func() error {
		if got := f.Get(); got != "two" {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	certs.Write(t, path, []byte("three"))
	says("three")
}

func TestSoManyConnectionsAreOpenAndNoMore(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := serving.Bound(inner, 2)
	defer func() { _ = listener.Close() }()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- connection
		}
	}()
	for range 3 {
		connection, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	first := <-accepted
	<-accepted
	select {
	case <-accepted:
		t.Fatal("a third connection is let in")
	case <-time.After(200 * time.Millisecond):
	}
	_ = first.Close()
	<-accepted
}

// stranger is a listener at which every connection seems to come from another machine.
type stranger struct{ net.Listener }

type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }

func (s stranger) Accept() (net.Conn, error) {
	connection, err := s.Listener.Accept()
	return far{connection}, err
}

func TestOneOtherMachineGetsHalfOfTheConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := serving.Bound(stranger{inner}, 4)
	defer func() { _ = listener.Close() }()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- connection
		}
	}()
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		return connection
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a third connection is not closed: %v", err)
	}
	_ = first.Close()
	dial()
	<-accepted
}

// serve answers what the client showed at the handshake.
func serve(t *testing.T, certificate *serving.TLS) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Protocols: serving.HTTP1(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, r.Proto+" "+name)
	})}
	go func() { _ = server.Serve(tls.NewListener(inner, certificate.Config())) }()
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = certificate.Run(t.Context()) }()
	return "https://" + inner.Addr().String()
}

// get asks over a connection of its own.
func get(url string, config *tls.Config) (string, error) {
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func TestCertificatesAndAuthoritiesAreTakenUpWhenTheirFilesChange(t *testing.T) {
	dir := t.TempDir()
	old, next := certs.NewAuthority(t, "old"), certs.NewAuthority(t, "next")
	certFile, keyFile := old.Server("server").Files(t, dir, "server")
	caFile := filepath.Join(dir, "ca.crt")
	certs.Write(t, caFile, old.PEM)
	authorities, err := serving.NewFile(caFile, logr.Discard(), serving.ParseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := serving.NewTLS(certFile, keyFile, authorities)
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, certificate)
	client := func(server *certs.Authority, shows ...certs.Pair) *tls.Config {
		config := &tls.Config{RootCAs: server.Pool(), MinVersion: tls.VersionTLS12}
		for _, pair := range shows {
			config.Certificates = append(config.Certificates, pair.TLS(t))
		}
		return config
	}
	asked := func(config *tls.Config, want string) error {
		if got, err := get(url, config); err != nil || got != "HTTP/1.1 "+want {
			return fmt.Errorf("%q, %w", got, err)
		}
		return nil
	}
	mine, theirs := old.Client("me"), next.Client("they")
	if err := errors.Join(asked(client(old, mine), "me"), asked(client(old), "nobody")); err != nil {
		t.Fatal(err)
	}
	if got, err := get(url, client(next)); err == nil {
		t.Errorf("a client takes the certificate of another authority: %s", got)
	}
	// Asked only for those of authorities that the server names, a client would show none: this one insists.
	insists := client(old)
	pair := theirs.TLS(t)
	insists.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	if got, err := get(url, insists); err == nil {
		t.Errorf("a certificate of another authority passes: %s", got)
	}
	if config := client(old); true {
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if got, err := get(url, config); err == nil {
			t.Errorf("TLS 1.1 passes: %s", got)
		}
	}

	certs.Write(t, caFile, next.PEM)
	next.Server("server").Files(t, dir, "server")
	harness.Eventually(t, 30*time.Second, "the new files hold", func() error { return asked(client(next, theirs), "they") })
	if got, err := get(url, client(old, mine)); err == nil {
		t.Errorf("the old certificates pass: %s", got)
	}
}

func TestAFileOfAuthoritiesHoldsSome(t *testing.T) {
	if pool, err := serving.ParseCertificates([]byte("nothing")); err == nil {
		t.Errorf("it is read as %v", pool)
	}
	if _, err := serving.ParseCertificates(certs.NewAuthority(t, "a").PEM); err != nil {
		t.Error(err)
	}
}
