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

// Package cluster tries the operator as users install it: config/default on a cluster with a real node, its pods under the pod security
// standard, its endpoint behind the Service. make e2e runs it, with the image that it has built.
package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

var (
	archive = flag.String("image", "", "the manager's image, as docker save writes it")
	name    = flag.String("image-name", "", "its name in there")
)

// site is what all tests here work with.
var site *stage

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	var err error
	if *archive == "" || *name == "" {
		err = errors.New("these tests take -image and -image-name: run make e2e")
	} else {
		site, err = newStage(ctx)
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if code != 0 && site != nil {
		site.explain()
	}
	if site != nil {
		err = errors.Join(err, site.close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	return code
}

// logs is where the cluster's parts write; they stay there, to be looked at when a test has failed.
func logs() string { return filepath.Join(harness.Root(), "bin", "test", "cluster-logs") }
