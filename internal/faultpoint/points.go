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

package faultpoint

// The steps of a job's life between which a crash must change nothing, in the order in which a job passes them.
const (
	CreateBeforePayload  Point = "create-before-payload"
	CreateAfterPayload   Point = "create-after-payload"
	CreateAfterRemoteJob Point = "create-after-remotejob"

	SubmitAfterFinalizer    Point = "submit-after-finalizer"
	SubmitBeforeBackend     Point = "submit-before-backend"
	SubmitAfterBackend      Point = "submit-after-backend"
	SubmitAfterStatus       Point = "submit-after-status"
	FinishAfterStatus       Point = "finish-after-status"
	CancelAfterRequest      Point = "cancel-after-request"
	CancelAfterTombstone    Point = "cancel-after-tombstone"
	CancelAfterBackend      Point = "cancel-after-backend"
	CancelAfterPayload      Point = "cancel-after-payload"
	CancelAfterFinalizer    Point = "cancel-after-finalizer"
	DockerAfterImage        Point = "docker-after-image"
	DockerAfterSandbox      Point = "docker-after-sandbox-created"
	DockerAfterSandboxStart Point = "docker-after-sandbox-started"

	DockerAfterFiles             Point = "docker-after-files"
	DockerAfterContainer         Point = "docker-after-container-created"
	DockerAfterContainerStart    Point = "docker-after-container-started"
	DockerAfterMarker            Point = "docker-after-marker"
	DockerAfterContainersRemoved Point = "docker-after-containers-removed"
	DockerAfterVolumesRemoved    Point = "docker-after-volumes-removed"
)

// All lists every point, for the test that walks through them. A test holds it against the constants.
var All = []Point{
	CreateBeforePayload, CreateAfterPayload, CreateAfterRemoteJob,
	SubmitAfterFinalizer, SubmitBeforeBackend,
	DockerAfterImage, DockerAfterSandbox, DockerAfterSandboxStart,
	SubmitAfterBackend, SubmitAfterStatus,
	DockerAfterFiles, DockerAfterContainer, DockerAfterContainerStart,
	FinishAfterStatus,
	CancelAfterRequest, CancelAfterTombstone,
	DockerAfterMarker, DockerAfterContainersRemoved, DockerAfterVolumesRemoved,
	CancelAfterBackend, CancelAfterPayload, CancelAfterFinalizer,
}
