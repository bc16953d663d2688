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
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const certLifetime = 10 * 365 * 24 * time.Hour

// authority is the certificate authority of one control plane. Its key stays in its directory, so that what it signed stays right
// when the control plane is started again.
type authority struct {
	dir     string
	cert    *x509.Certificate
	certPEM []byte
	key     crypto.Signer
}

// pairFiles are the files of a certificate and its key, and of the authority.
type pairFiles struct {
	cert, key, ca string
}

func loadAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &authority{dir: dir}
	certPEM, err := os.ReadFile(a.path("ca.crt"))
	if errors.Is(err, os.ErrNotExist) {
		err = a.create()
		return a, err
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(a.path("ca.key"))
	if err != nil {
		return nil, err
	}
	a.certPEM = certPEM
	if a.cert, err = parse(certPEM, x509.ParseCertificate); err != nil {
		return nil, err
	}
	a.key, err = parse(keyPEM, x509.ParseECPrivateKey)
	return a, err
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) create() error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	template, err := newTemplate("remotejob development", nil)
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key, a.certPEM = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	// The certificate is written last: where it is, the key is too.
	if err := os.WriteFile(a.path("ca.key"), keyPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(a.path("ca.crt"), a.certPEM, 0o600)
}

// clientPair signs a certificate by which a user of these groups is known.
func (a *authority) clientPair(user string, groups []string) (certPEM, keyPEM []byte, err error) {
	template, err := newTemplate(user, groups)
	if err != nil {
		return nil, nil, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(template)
}

// clientFiles signs a certificate by which a user of these groups is known, and keeps it in files.
func (a *authority) clientFiles(user string, groups ...string) (certFile, keyFile string, err error) {
	cert, key, err := a.clientPair(user, groups)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = a.path(user+".crt"), a.path(user+".key")
	return certFile, keyFile, errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600))
}

// serverFiles signs a certificate for a server on loopback and at other addresses, which can also be a client of another one where asked for.
func (a *authority) serverFiles(name string, client bool, others ...net.IP) (pairFiles, error) {
	template, err := newTemplate(name, nil)
	if err != nil {
		return pairFiles{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = append([]net.IP{net.IPv4(127, 0, 0, 1)}, others...)
	cert, key, err := a.sign(template)
	if err != nil {
		return pairFiles{}, err
	}
	files := pairFiles{cert: a.path(name + ".crt"), key: a.path(name + ".key"), ca: a.path("ca.crt")}
	return files, errors.Join(os.WriteFile(files.cert, cert, 0o600), os.WriteFile(files.key, key, 0o600))
}

// tokenKeyFile is the key that signs ServiceAccount tokens, made when it is first asked for.
func (a *authority) tokenKeyFile() (string, error) {
	path := a.path("tokens.key")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return path, err
	}
	_, keyPEM, err := newKey()
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, keyPEM, 0o600)
}

func (a *authority) sign(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func newTemplate(name string, groups []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		// An hour back, for clocks that are set while this runs.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(certLifetime),
	}, nil
}

func parse[T any](text []byte, decode func([]byte) (T, error)) (T, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		var none T
		return none, fmt.Errorf("no PEM in it")
	}
	return decode(block.Bytes)
}
