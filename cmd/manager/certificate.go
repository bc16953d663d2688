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
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// readCertificateEvery is how long an exchanged certificate may go unnoticed.
	readCertificateEvery = time.Minute
	// madeCertificateLasts is long, since callers were given the authority of a certificate by hand and have to be given the next one so.
	madeCertificateLasts = 10 * 365 * 24 * time.Hour
)

// heldCertificate is the endpoint's certificate, which a Secret holds, so that all replicas have the same. Where there is no such Secret,
// one is made.
type heldCertificate struct {
	reader client.Reader
	writer client.Writer
	secret client.ObjectKey
	names  []string
	log    logr.Logger

	mu      sync.Mutex
	content []byte
	now     *tls.Certificate
}

// holdCertificate returns nil where the settings name no Secret.
func holdCertificate(ctx context.Context, mgr manager.Manager, namespace string, o *pluginOptions) (*heldCertificate, error) {
	if o.tlsSecret == "" {
		return nil, nil
	}
	h := &heldCertificate{
		reader: mgr.GetAPIReader(), writer: mgr.GetClient(), secret: client.ObjectKey{Namespace: namespace, Name: o.tlsSecret},
		names: list(o.tlsNames), log: ctrl.Log.WithName("certificate"),
	}
	if err := h.refresh(ctx); err != nil {
		return nil, fmt.Errorf("the certificate of the plugin endpoint, Secret %s: %w", h.secret, err)
	}
	return h, nil
}

// GetCertificate returns the certificate as it was last read.
func (h *heldCertificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, nil
}

// Start reads the Secret from time to time. What can't be read changes nothing.
func (h *heldCertificate) Start(ctx context.Context) error {
	tick := time.NewTicker(readCertificateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := h.refresh(ctx); err != nil && ctx.Err() == nil {
			h.log.Error(err, "the certificate can't be read again; the one from before still holds", "Secret", h.secret)
		}
	}
}

// refresh reads the certificate, and makes one where there is none.
func (h *heldCertificate) refresh(ctx context.Context) error {
	secret := &corev1.Secret{}
	err := h.reader.Get(ctx, h.secret, secret)
	if apierrors.IsNotFound(err) {
		if secret, err = makeCertificate(h.secret, h.names); err != nil {
			return err
		}
		if err = h.writer.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
			err = h.reader.Get(ctx, h.secret, secret) // another replica was faster
		} else if err == nil {
			h.log.Info("made a certificate, since there was none", "Secret", h.secret, "names", h.names)
		}
	}
	if err != nil {
		return err
	}
	return h.take(secret)
}

func (h *heldCertificate) take(secret *corev1.Secret) error {
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	content := append(append([]byte{}, chain...), key...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if bytes.Equal(content, h.content) {
		return nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("its %s and %s: %w", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	if h.now != nil {
		h.log.Info("the certificate was exchanged, and the new one holds", "Secret", h.secret)
	}
	h.content, h.now = content, &pair
	return nil
}

// makeCertificate makes a certificate for the names, with an authority of its own whose key nobody keeps.
func makeCertificate(key client.ObjectKey, names []string) (*corev1.Secret, error) {
	if len(names) == 0 {
		return nil, errors.New("there is none, and none can be made without names for it (--plugin-tls-names)")
	}
	chain, private, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host: names[0], AlternateDNS: names[1:], MaxAge: madeCertificateLasts,
	})
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	_, authority := pem.Decode(chain)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels: map[string]string{"app.kubernetes.io/name": "remotejob-operator", "app.kubernetes.io/managed-by": "remotejob-operator"},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: private, corev1.ServiceAccountRootCAKey: authority},
	}, nil
}
