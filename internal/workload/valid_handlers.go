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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// validHandlers wants of each probe and hook exactly one thing to do, and a port where one is needed.
func validHandlers(at string, container *corev1.Container) *Refusal {
	for _, probe := range []struct {
		kind string
		*corev1.Probe
	}{{"livenessProbe", container.LivenessProbe}, {"readinessProbe", container.ReadinessProbe}, {"startupProbe", container.StartupProbe}} {
		if probe.Probe == nil {
			continue
		}
		at := at + "." + probe.kind
		if n := len(setFields(probe.ProbeHandler)); n != 1 {
			return refuse(at, ReasonInvalid, "must have exactly one of exec, httpGet, tcpSocket, grpc, and has %d", n)
		}
		if refusal := validHandler(at, probe.Exec, probe.HTTPGet); refusal != nil {
			return refusal
		}
		if probe.TCPSocket != nil && probe.TCPSocket.Port == (intstr.IntOrString{}) {
			return empty(at + ".tcpSocket.port")
		}
		if probe.GRPC != nil && probe.GRPC.Port == 0 {
			return empty(at + ".grpc.port")
		}
		if probe.kind == "readinessProbe" && probe.TerminationGracePeriodSeconds != nil {
			return refuse(at+".terminationGracePeriodSeconds", ReasonInvalid, "must not be set for readinessProbes")
		}
	}
	if container.Lifecycle == nil {
		return nil
	}
	for _, hook := range []struct {
		kind string
		*corev1.LifecycleHandler
	}{{"postStart", container.Lifecycle.PostStart}, {"preStop", container.Lifecycle.PreStop}} {
		if hook.LifecycleHandler == nil {
			continue
		}
		at := at + ".lifecycle." + hook.kind
		if n := len(setFields(*hook.LifecycleHandler)); n != 1 {
			return refuse(at, ReasonInvalid, "must have exactly one of exec, httpGet, tcpSocket, sleep, and has %d", n)
		}
		if refusal := validHandler(at, hook.Exec, hook.HTTPGet); refusal != nil {
			return refusal
		}
	}
	return nil
}

// validHandler is what probes and hooks have in common.
func validHandler(at string, exec *corev1.ExecAction, get *corev1.HTTPGetAction) *Refusal {
	switch {
	case exec != nil && len(exec.Command) == 0:
		return empty(at + ".exec.command")
	case get != nil && get.Port == (intstr.IntOrString{}):
		return empty(at + ".httpGet.port")
	}
	return nil
}
