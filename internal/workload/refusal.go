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

package workload

import (
	"errors"
	"fmt"
)

// Reasons of a Refusal.
const (
	// ReasonInvalid is the reason where an API server would not take the pod either.
	ReasonInvalid = "Invalid"
	// ReasonUnsupported is the reason where no backend, or not this one, can do what the pod asks for.
	ReasonUnsupported = "Unsupported"
	// ReasonForbidden is the reason where the backend's policy does not let pods ask for it.
	ReasonForbidden = "Forbidden"
	// ReasonTooLarge is the reason where the pod is larger than the ledger can keep.
	ReasonTooLarge = "TooLarge"
)

// Refusal says that a pod can't run as it is, and which field stands in the way.
type Refusal struct {
	// Field is the path of the field, such as spec.containers[0].stdin.
	Field string
	// Reason is one word: see ReasonInvalid and the others.
	Reason string
	// Message is the cause in words, without the field.
	Message string
}

// Error is one plain sentence that names the field and the cause.
func (r *Refusal) Error() string {
	if r.Field == "" {
		return r.Message
	}
	return r.Field + ": " + r.Message
}

// IsRefusal returns the refusal in err, if there is one.
func IsRefusal(err error) (*Refusal, bool) {
	var refusal *Refusal
	ok := errors.As(err, &refusal)
	return refusal, ok
}

func refuse(field, reason, format string, args ...any) *Refusal {
	return &Refusal{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// ConfigError says that something which a pod refers to (a ConfigMap, a Secret, a key) is not there. It is what a kubelet calls
// CreateContainerConfigError: the pod may run once the thing is there.
type ConfigError struct {
	// Field is the path of the field that refers to it.
	Field string
	// Message names what is missing.
	Message string
}

// Error is one plain sentence that names the field and what is missing.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Message }

// IsConfigError returns the ConfigError in err, if there is one.
func IsConfigError(err error) (*ConfigError, bool) {
	var config *ConfigError
	ok := errors.As(err, &config)
	return config, ok
}

func missing(field, format string, args ...any) *ConfigError {
	return &ConfigError{Field: field, Message: fmt.Sprintf(format, args...)}
}
