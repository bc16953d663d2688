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

package controller

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of conditions, and of jobs that end without their backend's word.
const (
	reasonSubmitted         = "Submitted"
	reasonBackendMissing    = "BackendMissing"
	reasonBackendNotReady   = "BackendNotReady"
	reasonUnavailable       = "Unavailable"
	reasonWaitingForSlot    = "WaitingForSlot"
	reasonCannotResolve     = "CannotResolve"
	reasonRejected          = "Rejected"
	reasonPayloadLost       = "PayloadLost"
	reasonJobLost           = "JobLost"
	reasonCancelled         = "Cancelled"
	reasonLeftovers         = "Leftovers"
	reasonContainersReady   = "ContainersReady"
	reasonContainersUnready = "ContainersNotReady"
)

// The API's bounds of a condition.
const (
	maxReason  = 256 // the API takes 1024
	maxMessage = 4096
)

var validReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// setCondition sets a condition. Its time changes only with its status. A reason that is no valid one becomes the fallback.
func setCondition(conditions *[]metav1.Condition, generation int64, now time.Time, kind string, isTrue bool, reason, fallback, message string) {
	status := metav1.ConditionFalse
	if isTrue {
		status = metav1.ConditionTrue
	}
	if len(reason) > maxReason || !validReason.MatchString(reason) {
		reason = fallback
	}
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: cut(message, maxMessage),
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	})
}

// cut shortens a text to so many bytes, at the edge of a character.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const mark = "…"
	s = s[:limit-len(mark)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + mark
}
