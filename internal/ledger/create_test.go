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

package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func waitFor(d time.Duration) option { return func(o *ledger.Options) { o.CreateWait = d } }

func TestAPodBecomesARemoteJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod(func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} })
	if id := b.mustCreate(pod); id != ledger.Name(pod.Namespace, pod.Name, pod.UID) {
		t.Errorf("without a backend's word the id is %q, want the ledger's own", id)
	}
	job := b.job(pod)
	if *job.Spec.PodRef != reference(pod) || job.Spec.BackendName != "docker" || job.Spec.TTLSecondsAfterFinished != nil {
		t.Errorf("the spec is %+v", job.Spec)
	}
	if !slices.Contains(job.Finalizers, v1alpha1.FinalizerCancel) {
		t.Error("the RemoteJob has no finalizer: it could vanish while its backend holds the job")
	}
	if job.Labels[v1alpha1.LabelPodUID] != string(pod.UID) || job.Labels[v1alpha1.LabelBackend] != "docker" {
		t.Errorf("the labels are %v", job.Labels)
	}
	if job.Spec.Template.Spec.Containers[0].TerminationMessagePath == "" {
		t.Error("the template lacks the API server's defaults")
	}
	secrets := b.secrets()
	if len(secrets) != 1 || !slices.Equal(job.Spec.PayloadSecretNames, []string{secrets[0].Name}) || secrets[0].Immutable == nil || !*secrets[0].Immutable {
		t.Errorf("the payload Secrets are %v, the RemoteJob lists %v", secrets, job.Spec.PayloadSecretNames)
	}
}

func TestNothingSecretIsReadableInARemoteJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const password = "s3cr3t-passw0rd"
	pod := b.pod(func(p *corev1.Pod) {
		p.Annotations = map[string]string{
			corev1.LastAppliedConfigAnnotation: password, "my.org/note": password, "slurm-job.vk.io/flags": "--time=1",
		}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: password}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}, {Name: "w", MountPath: "/w"}}
		p.Spec.Volumes = []corev1.Volume{
			{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
			{Name: "w", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
		}
		delete(p.Annotations, "slurm-job.vk.io/flags")
	})
	payload := workload.Payload{
		Secrets:    map[string]workload.FileData{"s": {"password": []byte(password)}},
		ConfigMaps: map[string]workload.FileData{"c": {"k": []byte(password)}},
	}
	if _, err := createWith(b, b.ledger, pod, payload); err != nil {
		t.Fatal(err)
	}
	job := b.job(pod)
	shown, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{password, base64.StdEncoding.EncodeToString([]byte(password))} {
		if strings.Contains(string(shown), hidden) {
			t.Errorf("%q can be read in %s", hidden, shown)
		}
	}
	w, err := b.ledger.Workload(t.Context(), job, "backend-1")
	if err != nil {
		t.Fatal(err)
	}
	if w.Pod.Spec.Containers[0].Env[0].Value != password || string(w.Files["v"].Files[0].Data) != password || string(w.Files["w"].Files[0].Data) != password {
		t.Errorf("what the backend gets lacks the values: %v, %v", w.Pod.Spec.Containers[0].Env, w.Files)
	}
}

func TestTheSameCreateTwiceIsOneJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	first := b.mustCreate(pod)
	b.report(pod, submitted("4711"))
	b.eventually("the second answer is the backend's id", func() bool { return b.mustCreate(pod) == "4711" })
	if first == "4711" || len(b.jobs()) != 1 {
		t.Errorf("there are %d RemoteJobs", len(b.jobs()))
	}
}

func TestEightClientsAtOnceGetOneJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, waitFor(time.Minute))
	ledgers := []*ledger.Ledger{b.ledger, b.newLedger(waitFor(20 * time.Second))}
	b.follow(ledgers[1])
	pod := b.pod(func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} })
	ids := make([]string, 8)
	var clients sync.WaitGroup
	for i := range ids {
		clients.Go(func() {
			// Every other client sends what differs in the payload: only the winner's is kept.
			mine := pod.DeepCopy()
			if i%2 == 1 {
				mine.Annotations = map[string]string{"my.org/note": "another"}
			}
			id, err := createWith(b, ledgers[i%2], mine, workload.Payload{})
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			ids[i] = id
		})
	}
	b.eventually("there is a RemoteJob", func() bool { return b.job(pod) != nil })
	b.report(pod, submitted("4711"))
	clients.Wait()
	if slices.ContainsFunc(ids, func(id string) bool { return id != "4711" }) {
		t.Errorf("the answers are %v", ids)
	}
	jobs, secrets := b.jobs(), b.secrets()
	if len(jobs) != 1 || len(secrets) != 1 || !slices.Equal(jobs[0].Spec.PayloadSecretNames, []string{secrets[0].Name}) {
		t.Errorf("there are %d RemoteJobs and %d payload Secrets, want one of each", len(jobs), len(secrets))
	}
}

func TestCreateWaitsForTheBackendsWord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status func(*v1alpha1.RemoteJobStatus)
		id     string
		kind   ledger.Kind
		words  string
	}{
		"the backend takes it":    {status: submitted("4711"), id: "4711"},
		"the backend refuses it":  {status: rejected("Rejected", "partition gpu does not exist"), kind: ledger.Refused, words: "partition gpu does not exist"},
		"it ended before we look": {status: func(s *v1alpha1.RemoteJobStatus) { s.JobID, s.Phase = "12", v1alpha1.PhaseFailed }, id: "12"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, waitFor(20*time.Second))
			pod := b.pod()
			done := make(chan struct{})
			go func() {
				defer close(done)
				b.eventually("there is a RemoteJob", func() bool { return b.job(pod) != nil })
				b.report(pod, c.status)
			}()
			started := time.Now()
			id, err := b.create(pod)
			<-done
			if c.kind != 0 {
				wantError(t, err, c.kind, c.words)
			} else if err != nil || id != c.id {
				t.Errorf("got %q, %v; want %q", id, err, c.id)
			}
			if took := time.Since(started); took > 50*time.Second {
				t.Errorf("the answer took %s: it waited for the time and not for the word", took)
			}
			if b.job(pod) == nil {
				t.Error("the RemoteJob is gone: nobody could see what came of the pod")
			}
		})
	}
}

func TestABackendThatIsAwayFailsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, waitFor(50*time.Millisecond))
	pod := b.pod()
	if id := b.mustCreate(pod); id != b.job(pod).Name {
		t.Errorf("the answer is %q", id)
	}
}

func TestACreateAfterItsDeleteIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, waitFor(time.Minute))
	early, late := b.pod(), b.pod()
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(early)}); err != nil {
		t.Fatal(err)
	}
	_, err := b.create(early)
	wantError(t, err, ledger.Conflict, "deleted", early.Name)

	b.ledger = b.newLedger() // one that does not wait
	b.follow(b.ledger)
	b.mustCreate(late)
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(late)}); err != nil {
		t.Fatal(err)
	}
	_, err = b.create(late)
	wantError(t, err, ledger.Conflict, "deleted", late.Name)
	if secrets := b.secrets(); len(secrets) != 0 {
		t.Errorf("the refused pods left %d payload Secrets", len(secrets))
	}
}

func TestAListIsValidatedWholeBeforeAnyIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good, bad := b.pod(), b.pod(func(p *corev1.Pod) { p.Spec.Containers = nil })
	_, err := b.ledger.Create(t.Context(), []ledger.CreateRequest{{Pod: good}, {Pod: bad}})
	wantError(t, err, ledger.Invalid, bad.Name, "spec.containers")
	if len(b.jobs()) != 0 {
		t.Error("a pod of a list with a bad one was recorded")
	}
	created, err := b.ledger.Create(t.Context(), []ledger.CreateRequest{{Pod: good}, {Pod: b.pod()}})
	if err != nil || len(created) != 2 || created[0].UID != good.UID || len(b.jobs()) != 2 {
		t.Errorf("a good list gave %v, %v", created, err)
	}
}

func TestPodsThatNobodyCouldFindAgainAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, change := range map[string]func(*corev1.Pod){
		"metadata.uid of the pod is missing": func(p *corev1.Pod) { p.UID = "" },
		"metadata.name":                      func(p *corev1.Pod) { p.Name = "" },
		"metadata.namespace":                 func(p *corev1.Pod) { p.Namespace = "../../etc" },
		"metadata.uid of the pod is longer": func(p *corev1.Pod) {
			p.UID = "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
		},
		"volume": func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "nowhere", MountPath: "/x"}}
		},
	} {
		_, err := b.create(b.pod(change))
		wantError(t, err, ledger.Invalid, want)
	}
	if len(b.jobs())+len(b.secrets()) != 0 {
		t.Error("a refused pod was recorded")
	}
}

func TestAPodGoesToTheBackendThatIsChosenForIt(t *testing.T) {
	t.Parallel()
	closed := v1alpha1.BackendPolicy{AllowAnnotationSelection: new(bool)}
	known := backends{"docker": {}, "hpc": {}, "vk1": {}, "edge": {}, "closed": {Policy: closed}, "going": {Deleting: true}}
	b := newBench(t, func(o *ledger.Options) { o.Backends = known })
	for name, c := range map[string]struct {
		annotation, node, endpoint string
		backend, words             string
	}{
		"the annotation comes first":             {annotation: "hpc", node: "vk1", endpoint: "edge", backend: "hpc"},
		"then the one named like the node":       {node: "vk1", endpoint: "edge", backend: "vk1"},
		"then the address's":                     {node: "other", endpoint: "edge", backend: "edge"},
		"then the default":                       {node: "other", backend: "docker"},
		"an annotation that names none":          {annotation: "moon", words: `no RemoteBackend "moon"`},
		"an annotation that policy does not let": {annotation: "closed", words: "allowAnnotationSelection"},
		"one that is being deleted":              {annotation: "going", words: `"going" is being deleted`},
		"an address whose backend is not there":  {endpoint: "gone", words: `no RemoteBackend "gone"`},
	} {
		pod := b.pod(func(p *corev1.Pod) {
			p.Spec.NodeName = c.node
			if c.annotation != "" {
				p.Annotations = map[string]string{v1alpha1.AnnotationBackend: c.annotation}
			}
		})
		_, err := b.ledger.Create(t.Context(), []ledger.CreateRequest{{Pod: pod, Endpoint: c.endpoint}})
		if c.words != "" {
			wantError(t, err, ledger.Refused, c.words)
			continue
		}
		if err != nil || b.job(pod).Spec.BackendName != c.backend {
			t.Errorf("%s: %v, %v", name, err, b.job(pod))
		}
	}
}

func TestAPodOfANamespaceThatIsNotHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	foreign := func(p *corev1.Pod) {
		p.Namespace = "not-" + b.namespace
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	}
	_, err := b.create(b.pod(foreign))
	wantError(t, err, ledger.Refused, "not-"+b.namespace, "--ledger-namespace")

	pod := b.pod(foreign)
	keeper := b.newLedger(func(o *ledger.Options) { o.Namespace = b.namespace })
	b.follow(keeper)
	if _, err := createWith(b, keeper, pod, workload.Payload{}); err != nil {
		t.Fatal(err)
	}
	job := b.job(pod)
	if job == nil || job.Spec.PodRef.Namespace != pod.Namespace || len(b.secrets()) != 1 {
		t.Fatalf("the pod is not kept: %v", job)
	}
	// The namespace comes to be, and the same call once more: still one job.
	if err := b.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metaNamed(pod.Namespace)}); err != nil {
		t.Fatal(err)
	}
	again := b.newLedger(func(o *ledger.Options) { o.Namespace = b.namespace })
	b.follow(again)
	if _, err := createWith(b, again, pod, workload.Payload{}); err != nil {
		t.Fatal(err)
	}
	if b.jobIn(pod.Namespace, pod) != nil {
		t.Error("the pod has two RemoteJobs")
	}
}

func TestAPodOfANamespaceThatIsNotWatched(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := newNamespace(t, b.client)
	foreign := func(p *corev1.Pod) { p.Namespace = other }
	watching := func(o *ledger.Options) { o.Namespaces = []string{b.namespace} }
	refusing := b.newLedger(watching)
	b.follow(refusing)
	_, err := createWith(b, refusing, b.pod(foreign), workload.Payload{})
	wantError(t, err, ledger.Refused, other, "--watch-namespaces")
	if _, err := createWith(b, refusing, b.pod(), workload.Payload{}); err != nil {
		t.Errorf("a pod of a namespace that is watched: %v", err)
	}

	keeper := b.newLedger(watching, func(o *ledger.Options) { o.Namespace = b.namespace })
	b.follow(keeper)
	pod := b.pod(foreign)
	if _, err := createWith(b, keeper, pod, workload.Payload{}); err != nil {
		t.Fatal(err)
	}
	if job := b.job(pod); job == nil || b.jobIn(other, pod) != nil {
		t.Errorf("the pod is not kept in the namespace that is watched: %v", job)
	}
}

func TestALargePayloadIsSplit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	pod := b.pod(func(p *corev1.Pod) {
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}}
	})
	if _, err := createWith(b, b.ledger, pod, workload.Payload{Secrets: map[string]workload.FileData{"s": {"blob": content}}}); err != nil {
		t.Fatal(err)
	}
	job := b.job(pod)
	if len(job.Spec.PayloadSecretNames) != 5 {
		t.Errorf("4 MiB of JSON are in %d Secrets, want 5", len(job.Spec.PayloadSecretNames))
	}
	w, err := b.ledger.Workload(t.Context(), job, "backend-1")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.Files["v"].Files[0].Data, content) {
		t.Error("the content came back changed")
	}
}

func TestAPodThatIsTooLargeIsRefusedInWords(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod(func(p *corev1.Pod) {
		for range 40 {
			p.Spec.Containers[0].Args = append(p.Spec.Containers[0].Args, strings.Repeat("x", 100<<10))
		}
	})
	_, err := b.create(pod)
	wantError(t, err, ledger.Refused, "bytes")
	if strings.Contains(err.Error(), "xxx") {
		t.Error("the answer quotes the pod")
	}
}

func TestARemoteJobOfAnotherPodIsNotTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	squatter := &v1alpha1.RemoteJob{ObjectMeta: metaNamed(ledger.Name(pod.Namespace, pod.Name, pod.UID))}
	squatter.Namespace, squatter.Spec.BackendName = b.namespace, "docker"
	squatter.Spec.Template.Spec.Containers = containers("c")
	if err := b.client.Create(t.Context(), squatter); err != nil {
		t.Fatal(err)
	}
	_, err := b.create(pod)
	wantError(t, err, ledger.Conflict, "another pod")
	err = b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)})
	wantError(t, err, ledger.Conflict, "another pod")
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(squatter), squatter); err != nil || squatter.Spec.Cancel {
		t.Errorf("another's RemoteJob was touched: %v", err)
	}
}
