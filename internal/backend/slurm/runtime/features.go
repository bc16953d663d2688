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

package runtime

import (
	"maps"
	"slices"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// everywhere is what podrunner does by itself, whatever the runtime.
var everywhere = []workload.Feature{
	workload.FeatureProbes, workload.FeatureHooks, workload.FeatureSidecars, workload.FeatureContainerRestartRule, workload.FeatureStopSignal,
	workload.FeatureHostPath, workload.FeaturePersistentVolume, workload.FeatureMemoryEmptyDir, workload.FeatureEmptyDirMode,
	workload.FeatureWritableSubPath, workload.FeatureHostNetwork, workload.FeatureGPUs,
	workload.FeatureJobScript, workload.FeaturePreExec, workload.FeatureSlurmFlags, workload.FeatureMesh,
}

// beside says what each runtime can do beside that.
var beside = map[string][]workload.Feature{
	// Processes of the node with the pod's volumes and host name, where users may have namespaces.
	None: {workload.FeatureHostname, workload.FeatureHostAliases, workload.FeatureShareProcess, workload.FeatureHostNamespaces},
	Podman: {
		workload.FeatureHostname, workload.FeatureHostAliases, workload.FeatureDNSConfig, workload.FeatureShareProcess,
		workload.FeatureSecurityContext, workload.FeaturePrivileged, workload.FeatureImagePullSecrets,
	},
	Charliecloud: {workload.FeatureHostname, workload.FeatureHostAliases, workload.FeatureShareProcess},
	Apptainer:    {workload.FeatureHostname, workload.FeatureHostAliases, workload.FeatureImagePullSecrets},
	Singularity:  {workload.FeatureHostname, workload.FeatureHostAliases, workload.FeatureImagePullSecrets},
	Enroot:       {workload.FeatureHostAliases, workload.FeatureImagePullSecrets},
}

// Features are what a pod may ask for of a runtime, by its type. One that is not known has none.
func Features(runtimeType string) map[workload.Feature]bool {
	own, ok := beside[runtimeType]
	if !ok {
		return nil
	}
	features := map[workload.Feature]bool{}
	for _, f := range slices.Concat(everywhere, own) {
		features[f] = true
	}
	return features
}

// HasImages tells whether a runtime runs containers from images at all. None takes programs of the node.
func HasImages(runtimeType string) bool { return runtimeType != None }

// KnowsCommands tells whether a runtime knows what an image runs by itself, so that a container need not name a command.
func KnowsCommands(runtimeType string) bool {
	return runtimeType != None && runtimeType != Charliecloud
}

// SharesNodeNetwork tells whether pods use the node's network, and so its ports.
func SharesNodeNetwork(runtimeType string) bool { return runtimeType != Podman }

// known lists the features of a runtime in order, for documents.
func known(runtimeType string) []workload.Feature {
	return slices.Sorted(maps.Keys(Features(runtimeType)))
}
