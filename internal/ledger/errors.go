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
	"errors"
	"fmt"
)

// Kind says what a caller can do about an Error.
type Kind int

// The kinds of an Error.
const (
	// Invalid means that the request itself is wrong, whatever the ledger holds.
	Invalid Kind = iota + 1
	// Refused means that the request is well formed and that no backend that it may go to will take it.
	Refused
	// Conflict means that what the ledger holds rules the request out for good.
	Conflict
	// NotFound means that the ledger holds nothing of what was asked for.
	NotFound
	// Unavailable means that the ledger can't be read or written now. It says nothing about any job.
	Unavailable
)

// Error is an answer to a person: why the ledger does not do what was asked. It never holds a value out of a pod's env, files or scripts.
type Error struct {
	Kind Kind
	// Reason is one CamelCase word, for programs.
	Reason string
	// Message is one plain sentence.
	Message string
	// Recorded is set where a RemoteJob tells the same.
	Recorded bool
	// Err is what lies below, where something does. It is for logs, not for answers.
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// AsError returns the Error in err, if there is one.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Errorf returns an Error with a message.
func Errorf(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Reasons of errors that other code tells apart.
const (
	ReasonInvalid       = "Invalid"
	ReasonRefused       = "Refused"
	ReasonNoBackend     = "NoBackend"
	ReasonNoNamespace   = "NoNamespace"
	ReasonCancelled     = "Cancelled"
	ReasonAmbiguous     = "Ambiguous"
	ReasonNotFound      = "NotFound"
	ReasonNotSynced     = "NotSynced"
	ReasonUnavailable   = "LedgerUnavailable"
	ReasonPayloadLost   = "PayloadLost"
	ReasonTooLarge      = "TooLarge"
	ReasonNameCollision = "NameCollision"
)

// PayloadLostError says that a payload Secret of a RemoteJob is gone or is not what was written. The job can't be submitted any more.
type PayloadLostError struct {
	// Secret is its name, and Cause what is wrong with it.
	Secret, Cause string
}

func (e *PayloadLostError) Error() string {
	return fmt.Sprintf("the payload Secret %s %s", e.Secret, e.Cause)
}

// IsPayloadLost tells whether err says that the payload of a RemoteJob is gone for good.
func IsPayloadLost(err error) bool {
	var lost *PayloadLostError
	return errors.As(err, &lost)
}
