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

package ledger

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// attemptTimeout bounds one call to an API server that takes the connection and does not answer.
const attemptTimeout = 15 * time.Second

// patient returns a context for a call that must not be given up because its caller went away: interLink never sends it again.
func (l *Ledger) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), l.outlastFor)
}

// outlast calls the API server until the answer is one that will not change by itself, or the context ends. An attempt whose answer was
// lost may have taken effect, so do must be right to repeat.
func (l *Ledger) outlast(ctx context.Context, what string, do func(context.Context) error) error {
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.7, Jitter: 0.3, Steps: 8, Cap: 2 * time.Second}
	for attempt := 1; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := do(try)
		cancel()
		if !willPass(err) {
			return err
		}
		if attempt == 1 {
			log.FromContext(ctx).Info("the API server is away; trying again", "to", what, "cause", err.Error())
		}
		timer := l.clock.NewTimer(backoff.Step())
		select {
		case <-ctx.Done():
			timer.Stop()
			return &Error{Kind: Unavailable, Reason: ReasonUnavailable, Message: "the API server that keeps the ledger could not be reached in time", Err: err}
		case <-timer.C():
		}
	}
}

// willPass tells whether an error may be over when the call is made again. What is no answer of the API server is a failure on the way.
func willPass(err error) bool {
	var own *Error
	if err == nil || errors.As(err, &own) || isTooLarge(err) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	switch {
	case apierrors.IsForbidden(err):
		// An API server that has just started may not have read its roles yet. Quotas, policies and namespaces that are being
		// deleted say Forbidden too, in other words.
		return strings.Contains(err.Error(), " cannot ")
	case isGeneric(err):
		return true
	}
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonNotFound, metav1.StatusReasonAlreadyExists, metav1.StatusReasonConflict, metav1.StatusReasonGone,
		metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonRequestEntityTooLarge,
		metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonNotAcceptable, metav1.StatusReasonUnsupportedMediaType:
		return false
	}
	return true
}

// isGeneric tells whether an answer was made up from a bare HTTP status, by a proxy or by an API server that does not serve the kind
// (yet): it then says nothing about the object.
func isGeneric(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isAbsent tells whether the API server said that there is no such object.
func isAbsent(err error) bool {
	return apierrors.IsNotFound(err) && !isGeneric(err)
}

// isTerminating tells whether a write was refused because its namespace is being deleted.
func isTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// isTooLarge tells whether a write was refused for its size, by the API server or by etcd.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || (err != nil && strings.Contains(err.Error(), "request is too large"))
}

// cannotRead is the answer when a question would need the API server and it can't be asked.
func cannotRead(err error) error {
	if own, ok := AsError(err); ok {
		return own
	}
	return &Error{Kind: Unavailable, Reason: ReasonUnavailable, Message: "the API server that keeps the ledger can't be read now", Err: err}
}
