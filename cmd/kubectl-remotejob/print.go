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

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// formats are what -o takes.
var formats = []string{"table", "wide", "json", "yaml", "name"}

// output is how a list is printed.
type output struct {
	format    string
	noHeaders bool
}

func (o *output) addFlags(cmd *cobra.Command, formats []string) {
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "How to print: "+strings.Join(formats, ", ")+".")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
	if slices.Contains(formats, "table") {
		cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print no headers over tables.")
	}
}

// print prints an object: as it is, or as its table, whose columns are coloured by what stands in them.
func (o *output) print(out io.Writer, object runtime.Object, table func() *metav1.Table, withNamespace bool) error {
	switch o.format {
	case "json":
		return (&printers.JSONPrinter{}).PrintObj(typed(object), out)
	case "yaml":
		return (&printers.YAMLPrinter{}).PrintObj(typed(object), out)
	case "name":
		for _, row := range table().Rows {
			if err := (&printers.NamePrinter{}).PrintObj(typed(row.Object.Object), out); err != nil {
				return err
			}
		}
		return nil
	case "table", "wide", "":
		var text bytes.Buffer
		printer := printers.NewTablePrinter(printers.PrintOptions{Wide: o.format == "wide", WithNamespace: withNamespace})
		if err := printer.PrintObj(table(), &text); err != nil {
			return err
		}
		colour := colourless
		if wantsColour(out) {
			colour = colourOf
		}
		_, err := io.WriteString(out, dressed(text.String(), o.noHeaders, colour))
		return err
	}
	return fmt.Errorf("unknown output %q: it is one of %s", o.format, strings.Join(formats, ", "))
}

// typed fills in the kind, which clients leave out, and leaves out what people have no use for.
func typed(object runtime.Object) runtime.Object {
	kind := ""
	switch o := object.(type) {
	case *v1alpha1.RemoteJob:
		kind, o.ManagedFields = "RemoteJob", nil
	case *v1alpha1.RemoteBackend:
		kind, o.ManagedFields = "RemoteBackend", nil
	case *v1alpha1.RemoteJobList:
		kind = "RemoteJobList"
		for i := range o.Items {
			typed(&o.Items[i])
		}
	case *v1alpha1.RemoteBackendList:
		kind = "RemoteBackendList"
		for i := range o.Items {
			typed(&o.Items[i])
		}
	}
	object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: kind})
	return object
}

// wantsColour tells whether what is printed goes to a terminal that shows colours.
func wantsColour(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(out any) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colourOf puts a word of a column into its colour.
func colourOf(column, word string) string {
	var code string
	switch column + " " + word {
	case "PHASE Failed", "READY False":
		code = "31"
	case "PHASE Running", "PHASE Succeeded", "READY True":
		code = "32"
	case "PHASE Pending", "PHASE Queued", "READY Unknown":
		code = "33"
	default:
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}

func colourless(_, word string) string { return word }

// dressed colours the columns PHASE and READY of a printed table. It is done last, since colours have no width and a table's columns do.
func dressed(text string, noHeaders bool, colour func(column, word string) string) string {
	header, rows, _ := strings.Cut(text, "\n")
	var out strings.Builder
	if !noHeaders {
		out.WriteString(header + "\n")
	}
	for line := range strings.Lines(rows) {
		// From the right, since a colour moves what follows it.
		for _, column := range []string{"PHASE", "READY"} {
			at := columnAt(header, column)
			if at < 0 || at >= len(line) {
				continue
			}
			word, _, _ := strings.Cut(line[at:], " ")
			word = strings.TrimSpace(word)
			if dressed := colour(column, word); dressed != word {
				line = line[:at] + dressed + line[at+len(word):]
				break // no table has both in colours
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

func columnAt(header, column string) int {
	at := 0
	for _, field := range strings.SplitAfter(header, " ") {
		if strings.TrimSpace(field) == column {
			return at
		}
		at += len(field)
	}
	return -1
}

// columns makes the columns of a table. One whose name ends in * is shown with -o wide only.
func columns(names ...string) []metav1.TableColumnDefinition {
	var out []metav1.TableColumnDefinition
	for _, name := range names {
		c := metav1.TableColumnDefinition{Name: strings.TrimSuffix(name, "*"), Type: "string"}
		if c.Name != name {
			c.Priority = 1
		}
		out = append(out, c)
	}
	return out
}

func row(object runtime.Object, cells ...any) metav1.TableRow {
	return metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: object}}
}

// ageOf is how long ago something was, as kubectl says it.
func ageOf(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}
