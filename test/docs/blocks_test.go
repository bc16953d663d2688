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

package docs

import (
	"strings"
	"testing"
)

func TestBlocksOfAPage(t *testing.T) {
	blocks, err := Blocks("p.md", strings.ReplaceAll(`# Title
<!-- not run: it takes a day -->
~~~sh
one
~~~

~~~text
of nobody
~~~
- item

  <!-- run: in the background until "ready \"now\"" -->
  ~~~sh
  two
    three
  ~~~

  ~~~text
  printed …
  ~~~
<!-- run: in a cluster -->
~~~sh
four
~~~
`, "~~~", "```"))
	if err != nil || len(blocks) != 3 {
		t.Fatalf("%v: %+v", err, blocks)
	}
	if b := blocks[0]; b.Content != "one\n" || b.NotRun != "it takes a day" || b.Line != 4 || b.Expected != "of nobody\n" {
		t.Errorf("%+v", b)
	}
	if b := blocks[1]; b.Content != "two\n  three\n" || b.Until != `ready "now"` || b.Expected != "printed …\n" {
		t.Errorf("%+v", b)
	}
	if b := blocks[2]; !b.Cluster || b.Expected != "" {
		t.Errorf("%+v", b)
	}
	for _, broken := range []string{"```sh\nx\n", "<!-- run: on the moon -->\n```sh\n```\n", "<!-- not run: x -->\ntext\n"} {
		if _, err := Blocks("p.md", broken); err == nil {
			t.Errorf("%q is taken", broken)
		}
	}
}

func TestWhatIsPrinted(t *testing.T) {
	output := "NAME   AGE\nhello  3s\nbye    4s\n"
	for expected, want := range map[string]bool{
		"NAME AGE\nbye …\n":    true,
		"hello …\n":            true,
		"bye …\nhello …\n":     false,
		"hello\n":              false,
		"NAME AGE\nhello 4s\n": false,
	} {
		if err := Printed(expected, output); (err == nil) != want {
			t.Errorf("%q: %v", expected, err)
		}
	}
}
