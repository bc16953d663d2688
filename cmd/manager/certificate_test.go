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
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

func TestACertificateIsMadeOnceAndExchangedInItsSecret(t *testing.T) {
	ctx := t.Context()
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Stop(context.Background()) })
	c, err := client.New(plane.Config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: "default", Name: "plugin-tls"}
	replica := func(names ...string) *heldCertificate {
		return &heldCertificate{reader: c, writer: c, secret: key, names: names, log: logr.Discard()}
	}
	refresh := func(h *heldCertificate) {
		t.Helper()
		if err := h.refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := replica().refresh(ctx); err == nil {
		t.Error("a certificate was made for no name")
	}
	one, two := replica("plugin.test.svc", "plugin.test.svc.cluster.local"), replica("plugin.test.svc")
	refresh(one)
	refresh(two)
	if !bytes.Equal(leaf(t, one), leaf(t, two)) {
		t.Error("two replicas have certificates of their own")
	}
	secret := &corev1.Secret{}
	if err := c.Get(ctx, key, secret); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatal("there is no authority in the Secret")
	}
	made, err := x509.ParseCertificate(leaf(t, one))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plugin.test.svc", "plugin.test.svc.cluster.local"} {
		if _, err := made.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}

	// Somebody puts a certificate of their own into it, first one that is none.
	before := leaf(t, one)
	next := certs.NewAuthority(t, "mine").Server("plugin.test.svc")
	put := func(cert []byte) {
		t.Helper()
		secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey] = cert, next.Key
		if err := c.Update(ctx, secret); err != nil {
			t.Fatal(err)
		}
	}
	put([]byte("half written"))
	if err := one.refresh(ctx); err == nil || !bytes.Equal(leaf(t, one), before) {
		t.Errorf("a certificate that is none was taken (%v)", err)
	}
	put(next.Cert)
	refresh(one)
	if !bytes.Equal(leaf(t, one), next.TLS(t).Certificate[0]) {
		t.Error("the certificate was not exchanged")
	}

	// A Secret that is gone is made anew.
	if err := c.Delete(ctx, secret); err != nil {
		t.Fatal(err)
	}
	refresh(one)
	if now := leaf(t, one); bytes.Equal(now, before) || bytes.Equal(now, next.TLS(t).Certificate[0]) {
		t.Error("no new certificate was made")
	}
}

func leaf(t *testing.T, h *heldCertificate) []byte {
	t.Helper()
	pair, err := h.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || pair == nil {
		t.Fatalf("there is no certificate: %v", err)
	}
	return pair.Certificate[0]
}
