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
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// probeRules are those of v1.Probe and v1.Lifecycle. They are written for livenessProbe and preStop and hold for the other probes and
// the other hook too.
var probeRules = []rule{
	{path: "spec.containers[*].livenessProbe", fate: needed, feature: FeatureProbes, text: "decisions wait while the manager is away"},
	{path: "spec.containers[*].readinessProbe", fate: needed, feature: FeatureProbes, text: "fields as in livenessProbe; no Service sends it traffic"},
	{path: "spec.containers[*].startupProbe", fate: needed, feature: FeatureProbes, text: "fields as in livenessProbe"},
	{path: "spec.containers[*].livenessProbe.exec.command", fate: honoured, check: typed(checkStrings)},
	{path: "spec.containers[*].livenessProbe.httpGet.path", fate: honoured},
	{path: "spec.containers[*].livenessProbe.httpGet.port", fate: honoured, check: typed(checkPort)},
	{path: "spec.containers[*].livenessProbe.httpGet.host", fate: honoured, text: "without it the pod's own address"},
	{path: "spec.containers[*].livenessProbe.httpGet.scheme", fate: honoured, check: oneOf(corev1.URISchemeHTTP, corev1.URISchemeHTTPS)},
	{path: "spec.containers[*].livenessProbe.httpGet.httpHeaders[*].name", fate: honoured, check: typed(checkHeaderName)},
	{path: "spec.containers[*].livenessProbe.httpGet.httpHeaders[*].value", fate: honoured},
	{path: "spec.containers[*].livenessProbe.httpGet.protocol", fate: refused, text: "probes speak HTTP/1.1", idle: isIdle(corev1.HTTPProtocolHTTP1), idleText: "HTTP1"},
	{path: "spec.containers[*].livenessProbe.tcpSocket.port", fate: honoured, check: typed(checkPort)},
	{path: "spec.containers[*].livenessProbe.tcpSocket.host", fate: honoured, text: "without it the pod's own address"},
	{path: "spec.containers[*].livenessProbe.grpc.port", fate: honoured, check: between(1, math.MaxUint16)},
	{path: "spec.containers[*].livenessProbe.grpc.service", fate: honoured},
	{path: "spec.containers[*].livenessProbe.grpc.mode", fate: refused, text: "grpc probes speak without TLS", idle: isIdle(corev1.GRPCProbeModePlaintext), idleText: "Plaintext"},
	{path: "spec.containers[*].livenessProbe.initialDelaySeconds", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].livenessProbe.timeoutSeconds", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].livenessProbe.periodSeconds", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].livenessProbe.successThreshold", fate: honoured, check: between(1, 1)},
	{path: "spec.containers[*].readinessProbe.successThreshold", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].livenessProbe.failureThreshold", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].livenessProbe.terminationGracePeriodSeconds", fate: honoured, check: between(1, math.MaxInt64)},
	{path: "spec.containers[*].lifecycle.postStart", fate: needed, feature: FeatureHooks, text: "fields as in preStop"},
	{path: "spec.containers[*].lifecycle.preStop", fate: needed, feature: FeatureHooks, text: "it runs when the job is ended through the ledger"},
	{path: "spec.containers[*].lifecycle.preStop.exec.command", fate: honoured, check: typed(checkStrings)},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.path", fate: honoured},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.port", fate: honoured, check: typed(checkPort)},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.host", fate: honoured, text: "without it the pod's own address"},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.scheme", fate: honoured, check: oneOf(corev1.URISchemeHTTP, corev1.URISchemeHTTPS)},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.httpHeaders[*].name", fate: honoured, check: typed(checkHeaderName)},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.httpHeaders[*].value", fate: honoured},
	{path: "spec.containers[*].lifecycle.preStop.httpGet.protocol", fate: refused, text: "hooks speak HTTP/1.1", idle: isIdle(corev1.HTTPProtocolHTTP1), idleText: "HTTP1"},
	{path: "spec.containers[*].lifecycle.preStop.tcpSocket", fate: refused, text: "no kubelet runs a tcpSocket hook", whole: true},
	{path: "spec.containers[*].lifecycle.preStop.sleep.seconds", fate: honoured, check: between(0, math.MaxInt32)},
	{path: "spec.containers[*].lifecycle.stopSignal", fate: needed, feature: FeatureStopSignal, check: typed(checkStopSignal)},
}

func checkPort(c *checker, at string, port intstr.IntOrString) *Refusal {
	if port.Type == intstr.Int {
		if problems := validation.IsValidPortNum(int(port.IntVal)); len(problems) > 0 {
			return refuse(at, ReasonInvalid, "%d: %s", port.IntVal, problems[0])
		}
		return nil
	}
	for i := range c.container.Ports {
		if c.container.Ports[i].Name == port.StrVal {
			return nil
		}
	}
	return refuse(at, ReasonInvalid, "the container has no port of the name %q", port.StrVal)
}

func checkHeaderName(_ *checker, at string, name string) *Refusal {
	if problems := validation.IsHTTPHeaderName(name); len(problems) > 0 {
		return refuse(at, ReasonInvalid, "%q: %s", name, problems[0])
	}
	return nil
}

func checkStopSignal(c *checker, at string, _ corev1.Signal) *Refusal {
	if c.pod.Spec.OS == nil {
		return refuse(at, ReasonInvalid, "it may not be set without spec.os.name")
	}
	return nil
}
