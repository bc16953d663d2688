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

package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
)

func (s *side) namespace(name string) {
	s.t.Helper()
	if err := s.ledger.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		s.t.Fatal(err)
	}
}

// TestAJobReadsNoSecretOfAnotherNamespace tries all places where a job can name one.
func TestAJobReadsNoSecretOfAnotherNamespace(t *testing.T) {
	s := onShared(t)
	s.namespace("tenant-a")
	const value = "only-tenant-a-may-read-this"
	theirs := secret("theirs", map[string][]byte{"key": []byte(value)})
	theirs.Namespace = "tenant-a"
	config := configMap("their-config", map[string]string{"key": value})
	config.Namespace = "tenant-a"
	for _, object := range []client.Object{&theirs, &config} {
		if err := s.ledger.Create(s.ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(c *corev1.Container, name string) {
		c.Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "key"}}}}
	}
	volume := func(source corev1.VolumeSource) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}}
			p.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		}
	}
	for what, change := range map[string]func(*corev1.PodSpec){
		"by its name, in env":        func(p *corev1.PodSpec) { reads(&p.Containers[0], "theirs") },
		"by namespace/name":          func(p *corev1.PodSpec) { reads(&p.Containers[0], "tenant-a/theirs") },
		"by a path":                  func(p *corev1.PodSpec) { reads(&p.Containers[0], "../../tenant-a/secrets/theirs") },
		"in a volume":                volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "theirs"}}),
		"in a volume of a ConfigMap": volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "their-config"}}}),
		"in a projected volume": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
			Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "theirs"}},
		}}}}),
	} {
		job := s.write(mainBackend, "default", func(job *v1alpha1.RemoteJob) {
			job.Spec.Template.Spec.Containers[0].Command = []string{"sh", "-c", "echo $A; cat /v/*"}
			change(&job.Spec.Template.Spec)
		})
		harness.Eventually(t, longTime, what+": it is refused, or waits for a thing of its own namespace", func() error {
			if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job); err != nil {
				return err
			}
			switch job.Status.Reason {
			case "CannotResolve", "Rejected":
				return nil
			}
			return fmt.Errorf("it is %s: %s %s", job.Status.Phase, job.Status.Reason, job.Status.Message)
		})
		if strings.Contains(job.Status.Message, value) {
			t.Errorf("%s: %s", what, job.Status.Message)
		}
		if err := s.ledger.Delete(s.ctx, job); err != nil {
			t.Error(err)
		}
	}
	if lines := s.manager.Lines(value); lines != "" {
		t.Errorf("the value is in the log: %s", lines)
	}
}

// TestNamesAndLabelsCannotBeForgedThroughMetadata has a pod and a RemoteJob pass themselves off as another pod's job.
func TestNamesAndLabelsCannotBeForgedThroughMetadata(t *testing.T) {
	s := onShared(t)
	victim := harness.NewPod("victim", mainBackend, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 9"))
	s.run(victim)
	s.running(victim, "c")
	token := s.ledger.Token(victim)
	forged := map[string]string{
		"remotejob.dev/pod-uid": string(victim.UID), "remotejob.dev/token": token, "remotejob.dev/pod-name": victim.Name,
		"remotejob.dev/role": "infra", "remotejob.dev/ledger": "another",
	}
	attacker := harness.NewPod("attacker", mainBackend, harness.Shell("c", "exit 1"))
	attacker.Labels = forged
	for name, value := range forged {
		attacker.Annotations[name] = value
	}
	attacker.Annotations["JobID"] = token
	s.run(attacker)
	s.exits(s.ended(attacker, longTime), map[string]int32{"c": 1})
	if job := s.ledger.MustJob(s.ctx, t, attacker); job.Labels["remotejob.dev/pod-uid"] != string(attacker.UID) {
		t.Errorf("its RemoteJob is labelled %v", job.Labels)
	}
	containers, err := harness.Containers(s.ctx, s.engine.Client, s.ledger.Token(attacker))
	if err != nil || len(containers) == 0 {
		t.Fatalf("its containers: %v, %v", containers, err)
	}
	for _, c := range containers {
		if c.Labels["remotejob.dev/token"] != s.ledger.Token(attacker) || c.Labels["remotejob.dev/pod-uid"] != string(attacker.UID) || c.Labels["remotejob.dev/ledger"] != s.ledger.ID {
			t.Errorf("container %v is labelled %v", c.Names, c.Labels)
		}
	}
	byHand := s.write(mainBackend, "default", func(job *v1alpha1.RemoteJob) {
		job.Labels = forged
		job.Spec.Template.Labels = forged
	})
	s.jobIn(byHand, v1alpha1.PhaseSucceeded)
	if err := s.ledger.Delete(s.ctx, byHand); err != nil {
		t.Error(err)
	}
	s.jobGone(byHand)
	if answer, err := s.manager.Delete(s.ctx, attacker); err != nil || answer.Code != http.StatusOK {
		t.Errorf("deleting the attacker: %v, %d", err, answer.Code)
	}
	if st, err := s.status(victim); err != nil || st.Containers[0].State.Running == nil {
		t.Errorf("the victim: %v, %s", err, states(st))
	}
	s.touch(victim, "c", "/go")
	s.exits(s.ended(victim, longTime), map[string]int32{"c": 9})
}

// TestAPodReachesNoFilesOfAnother tries the names that another pod's volumes have on the engine.
func TestAPodReachesNoFilesOfAnother(t *testing.T) {
	s := onShared(t)
	c := harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 0")
	c.VolumeMounts = []corev1.VolumeMount{{Name: "s", MountPath: "/s"}, {Name: "scratch", MountPath: "/scratch"}}
	victim := harness.NewPod("with-files", mainBackend, c)
	victim.Spec.Volumes = []corev1.Volume{
		{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
		{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	s.create(harness.Request(victim).With("c", nil, []corev1.Secret{secret("s", map[string][]byte{"key": []byte("value")})}))
	s.running(victim, "c")
	token := s.ledger.Token(victim)
	left, err := harness.Left(s.ctx, s.engine.Client, token)
	if err != nil || !strings.Contains(strings.Join(left, " "), "volume "+token+"_f0") {
		t.Fatalf("the engine holds %v of the pod with files (%v): what is tried here has other names", left, err)
	}
	// A claim is the engine's volume NAMESPACE_CLAIM: a namespace that is named like the job makes it the job's.
	s.namespace(token)
	for _, claim := range []string{"f0", "t"} {
		thief := harness.NewPod("thief-"+claim, mainBackend, harness.Shell("c", "cat /v/*/*"))
		thief.Namespace = token
		thief.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		thief.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
		s.deleteAfterwards(thief)
		_, answer, err := s.manager.Create(s.ctx, harness.Request(thief).Body(t))
		if err != nil || answer.Code < 400 || answer.Code > 499 || !strings.Contains(string(answer.Body), "spec.volumes[0].persistentVolumeClaim") {
			t.Errorf("the claim %s: %v, %d %s", claim, err, answer.Code, answer.Body)
		}
		if err := s.engine.Events().StartedOnce(s.ledger.Token(thief), "c"); err == nil {
			t.Errorf("the claim %s: its container ran", claim)
		}
	}
	s.touch(victim, "c", "/go")
	s.exits(s.ended(victim, longTime), map[string]int32{"c": 0})
}

// TestAPayloadThatSomebodyExchangedIsNotRun exchanges the payload Secret of a pod that waits for its backend.
func TestAPayloadThatSomebodyExchangedIsNotRun(t *testing.T) {
	s := onShared(t)
	backend := s.ledger.MakeBackend(s.ctx, t, "later", "unix:///no/engine/here.sock")
	harness.Eventually(t, longTime, "the manager knows it", func() error { return s.ledger.BackendReady(s.ctx, backend.Name, metav1.ConditionFalse) })
	var pods []*corev1.Pod
	for _, value := range []string{"good", "evil"} {
		c := harness.Shell("c", "true")
		c.Env = []corev1.EnvVar{{Name: "VALUE", Value: value}}
		pod := harness.NewPod("payload-"+value, backend.Name, c)
		s.run(pod)
		pods = append(pods, pod)
	}
	payload := func(pod *corev1.Pod) *corev1.Secret {
		names := s.ledger.MustJob(s.ctx, t, pod).Spec.PayloadSecretNames
		if len(names) != 1 {
			t.Fatalf("pod %s has the payload %v", pod.Name, names)
		}
		stored := &corev1.Secret{}
		if err := s.ledger.Get(s.ctx, objectKey("default", names[0]), stored); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	good, evil := payload(pods[0]), payload(pods[1])
	exchanged := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: good.Name, Namespace: good.Namespace, Labels: good.Labels}, Data: evil.Data, Immutable: ptr(true)}
	if err := s.ledger.Delete(s.ctx, good); err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Create(s.ctx, exchanged); err != nil {
		t.Fatal(err)
	}
	there := fmt.Appendf(nil, `{"spec":{"docker":{"host":%q}}}`, s.engine.Host)
	if err := s.ledger.Patch(s.ctx, backend, client.RawPatch("application/merge-patch+json", there)); err != nil {
		t.Fatal(err)
	}
	s.exits(s.ended(pods[1], longTime), map[string]int32{"c": 0})
	st := s.ended(pods[0], longTime)
	if job := s.ledger.MustJob(s.ctx, t, pods[0]); job.Status.Reason != "PayloadLost" || st.Exit("c") == 0 {
		t.Errorf("its job is %s (%s), its container ended with %d", job.Status.Reason, job.Status.Message, st.Exit("c"))
	}
	if starts := s.engine.Events().Starts(s.ledger.Token(pods[0])); len(starts) > 0 {
		t.Errorf("its containers were started: %v", starts)
	}
}

// TestAnEngineThatShowsAnotherCertificateIsNotSpokenTo puts a machine in the engine's place that has not its certificate.
func TestAnEngineThatShowsAnotherCertificateIsNotSpokenTo(t *testing.T) {
	s := onShared(t)
	engines, stranger := certs.NewAuthority(t, "engines"), certs.NewAuthority(t, "stranger")
	asked := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{stranger.Server("engine").TLS(t)}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	if err := client.IgnoreAlreadyExists(s.ledger.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "remotejob-system"}})); err != nil {
		t.Fatal(err)
	}
	own := engines.Client("manager")
	files := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "remotejob-system", GenerateName: "engine-"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": own.Cert, "tls.key": own.Key, "ca.crt": engines.PEM},
	}
	if err := s.ledger.Create(s.ctx, files); err != nil {
		t.Fatal(err)
	}
	backend := s.ledger.MakeBackend(s.ctx, t, "stranger", "tcp://"+server.Listener.Addr().String(), func(b *v1alpha1.RemoteBackend) {
		b.Spec.Docker.TLSSecretRef = &corev1.LocalObjectReference{Name: files.Name}
	})
	harness.Eventually(t, longTime, "it is not Ready, and says why", func() error {
		err := s.ledger.BackendReady(s.ctx, backend.Name, metav1.ConditionTrue)
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	})
	select {
	case path := <-asked:
		t.Errorf("it was asked for %s", path)
	default:
	}
}
