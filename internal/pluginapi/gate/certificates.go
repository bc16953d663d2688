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

package gate

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"k8s.io/utils/lru"

	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

// certificates holds those of clients against the authorities of now. The handshake did so too, but a connection may be older than the
// authorities are, and than the certificate is good for.
type certificates struct {
	authorities *serving.File[*x509.CertPool]
	names       []string
	// good are the authorities that a certificate was last found good by, by its digest.
	good *lru.Cache
}

func newCertificates(authorities *serving.File[*x509.CertPool], names []string) *certificates {
	return &certificates{authorities: authorities, names: names, good: lru.New(maxClients)}
}

// check returns the common name in a certificate that is good now.
func (c *certificates) check(chain []*x509.Certificate) (string, error) {
	leaf, now := chain[0], time.Now()
	if now.After(leaf.NotAfter) {
		return "", unauthorized("the client certificate has expired")
	}
	roots := c.authorities.Get()
	digest := sha256.Sum256(leaf.Raw)
	if known, ok := c.good.Get(digest); !ok || known.(*x509.CertPool) != roots {
		between := x509.NewCertPool()
		for _, certificate := range chain[1:] {
			between.AddCert(certificate)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			return "", unauthorized("the client certificate is not from an authority that is known here")
		}
		c.good.Add(digest, roots)
	}
	name := leaf.Subject.CommonName
	if len(c.names) > 0 && !slices.Contains(c.names, name) {
		return "", forbidden("the client %.100q is not one of those that may call", name)
	}
	return name, nil
}
