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

// Package probe runs the probes and the hooks of a pod's containers as the kubelet does. Its rules (when a probe is due, what its
// thresholds make of an answer, what a probe asks of whom) are pure; Workers and Hooks act on them in the background; Serve answers
// network probes from inside the pod's network namespace, and Session is its other end.
//
// The rules follow "Configure Liveness, Readiness and Startup Probes" and "Container Lifecycle Hooks" of the Kubernetes documentation,
// KEP-950 (startup probes), KEP-2238 (grace period of a probe, applied by podlifecycle), KEP-2727 (gRPC probes), KEP-3960 (sleep), and
// where those leave a question open, what the kubelet of KubeVersion does.
package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// KubeVersion is the version of the kubelet whose behaviour this package follows. Probes name it as their User-Agent, since servers
// tell probes from users by "kube-probe/".
const KubeVersion = "1.37"

// Kind is one of the three probes of a container.
type Kind string

// The kinds of probe.
const (
	Startup   Kind = "Startup"
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
)

// Kinds are all of them; a startup probe comes first, since the others wait for it.
var Kinds = [...]Kind{Startup, Liveness, Readiness}

// Of returns the container's probe of this kind, nil where it has none.
func (k Kind) Of(c *corev1.Container) *corev1.Probe {
	switch k {
	case Startup:
		return c.StartupProbe
	case Liveness:
		return c.LivenessProbe
	case Readiness:
		return c.ReadinessProbe
	}
	return nil
}

// Any tells whether a container has a probe of any kind.
func Any(c *corev1.Container) bool {
	return c.StartupProbe != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil
}

// Timing is when a probe runs and how often it must say the same to be believed.
type Timing struct {
	InitialDelay, Period, Timeout      time.Duration
	SuccessThreshold, FailureThreshold int32
}

// TimingOf reads a probe's timing, with the API server's defaults for what it leaves out.
func TimingOf(p *corev1.Probe) Timing {
	return Timing{
		InitialDelay:     time.Duration(max(p.InitialDelaySeconds, 0)) * time.Second,
		Period:           time.Duration(orDefault(p.PeriodSeconds, 10)) * time.Second,
		Timeout:          time.Duration(orDefault(p.TimeoutSeconds, 1)) * time.Second,
		SuccessThreshold: orDefault(p.SuccessThreshold, 1),
		FailureThreshold: orDefault(p.FailureThreshold, 3),
	}
}

func orDefault(n, def int32) int32 {
	if n <= 0 {
		return def
	}
	return n
}
