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

package backend

import (
	"errors"
	"fmt"
)

// ReasonCancelled is the reason of the rejection of a job whose token has been cancelled.
const ReasonCancelled = "Cancelled"

// RejectedError says that the backend will never take the job as it is.
type RejectedError struct {
	// Reason is one CamelCase word, Message a sentence for the user.
	Reason, Message string
}

func (e *RejectedError) Error() string { return e.Message }

// Rejected returns an error that says that the backend will never take the job.
func Rejected(reason, format string, args ...any) error {
	return &RejectedError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// IsRejected returns the rejection in err, if there is one.
func IsRejected(err error) (*RejectedError, bool) {
	var rejected *RejectedError
	ok := errors.As(err, &rejected)
	return rejected, ok
}

// UnavailableError says that the backend can't be asked now, and nothing about any job.
type UnavailableError struct {
	Err error
}

func (e *UnavailableError) Error() string { return e.Err.Error() }

func (e *UnavailableError) Unwrap() error { return e.Err }

// Unavailable returns an error that says that the backend can't be asked now.
func Unavailable(format string, args ...any) error {
	return &UnavailableError{Err: fmt.Errorf(format, args...)}
}

// IsUnavailable tells whether err says that the backend can't be asked now.
func IsUnavailable(err error) bool {
	var unavailable *UnavailableError
	return errors.As(err, &unavailable)
}

// NotFoundError says that the backend has no such container, or no log of it.
type NotFoundError struct {
	Message string
}

func (e *NotFoundError) Error() string { return e.Message }

// NotFound returns an error that says that the backend has no such thing.
func NotFound(format string, args ...any) error {
	return &NotFoundError{Message: fmt.Sprintf(format, args...)}
}

// IsNotFound tells whether err says that the backend has no such thing.
func IsNotFound(err error) bool {
	var notFound *NotFoundError
	return errors.As(err, &notFound)
}
