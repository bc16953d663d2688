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

package pluginapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
)

func TestALineAboutAPodHasAllItsNames(t *testing.T) {
	refused := failing{ledger.Errorf(ledger.Unavailable, ledger.ReasonNotSynced, "the ledger has not been read yet")}
	e := serve(t, pluginapi.Options{Ledger: refused}, "")
	e.call(http.MethodPost, "/delete", `{"metadata":{"namespace":"ns","name":"pod-a","uid":"uid-a"}}`, pluginapi.SessionHeader, "DeletePod#7")
	said := strings.Join(e.log.all(), "\n")
	for _, word := range []string{`"session"="DeletePod#7"`, `"pod"="ns/pod-a"`, `"podUID"="uid-a"`, `"remotejob"="` + ledger.Name("ns", "pod-a", "uid-a") + `"`, `"token"=`} {
		if !strings.Contains(said, word) {
			t.Errorf("the log does not say %s: %s", word, said)
		}
	}
}
