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

// Abilities says which fields of a pod a backend can honour.
type Abilities struct {
	// Backend is the backend's name in refusals, such as "Docker".
	Backend string
	// Features that it has; what is not in here is refused by the field's name.
	Features map[Feature]bool
}

// Has tells whether the backend has a feature.
func (a Abilities) Has(f Feature) bool { return a.Features[f] }

// Feature is something that a pod can ask for and not every backend can do.
type Feature string

// The features. A pod that uses none of them runs on every backend.
const (
	FeatureProbes               Feature = "probes"
	FeatureHooks                Feature = "lifecycle hooks"
	FeatureSidecars             Feature = "restartable init containers"
	FeatureSecurityContext      Feature = "security contexts"
	FeaturePrivileged           Feature = "privileged containers"
	FeatureSysctls              Feature = "sysctls"
	FeatureHostPath             Feature = "hostPath volumes"
	FeaturePersistentVolume     Feature = "persistentVolumeClaim volumes"
	FeatureMemoryEmptyDir       Feature = "emptyDir volumes in memory"
	FeatureEmptyDirSizeLimit    Feature = "size limits of emptyDir volumes"
	FeatureWritableSubPath      Feature = "subPath mounts of writable volumes"
	FeatureMountPropagation     Feature = "mount propagation"
	FeatureImagePullSecrets     Feature = "image pull secrets"
	FeatureHostNetwork          Feature = "the host's network"
	FeatureHostNamespaces       Feature = "the host's PID and IPC namespaces"
	FeatureShareProcess         Feature = "a shared process namespace"
	FeatureHostPorts            Feature = "host ports"
	FeatureHostname             Feature = "hostname and subdomain"
	FeatureHostAliases          Feature = "host aliases"
	FeatureDNSConfig            Feature = "DNS settings"
	FeatureTTY                  Feature = "stdin and tty"
	FeatureGPUs                 Feature = "GPUs"
	FeatureEphemeralStorage     Feature = "limits of ephemeral storage"
	FeatureJobScript            Feature = "job scripts"
	FeaturePreExec              Feature = "pre-exec scripts"
	FeatureDockerFlags          Feature = "docker flags"
	FeatureSlurmFlags           Feature = "SLURM options"
	FeatureMesh                 Feature = "mesh networking"
	FeatureContainerRestartRule Feature = "restart rules of containers"
	FeatureStopSignal           Feature = "stop signals"
	FeatureFileOwner            Feature = "owners of a volume's files"
	FeatureEmptyDirMode         Feature = "modes of emptyDir volumes"
)

// AllFeatures lists every feature.
var AllFeatures = []Feature{
	FeatureProbes, FeatureHooks, FeatureSidecars, FeatureSecurityContext, FeaturePrivileged, FeatureSysctls,
	FeatureHostPath, FeaturePersistentVolume, FeatureMemoryEmptyDir, FeatureEmptyDirSizeLimit, FeatureWritableSubPath,
	FeatureMountPropagation, FeatureImagePullSecrets, FeatureHostNetwork, FeatureHostNamespaces, FeatureShareProcess,
	FeatureHostPorts, FeatureHostname, FeatureHostAliases, FeatureDNSConfig, FeatureTTY, FeatureGPUs,
	FeatureEphemeralStorage, FeatureJobScript, FeaturePreExec, FeatureDockerFlags, FeatureSlurmFlags, FeatureMesh,
	FeatureContainerRestartRule, FeatureStopSignal, FeatureFileOwner, FeatureEmptyDirMode,
}
