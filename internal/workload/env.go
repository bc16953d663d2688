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
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

// environment is a container's env while it is put together. A later variable of the same name replaces the earlier one.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// env is the container's env, literal and expanded: what envFrom brings first, then the variables in order, each seeing those before it.
func (r *resolver) env(at string, c *corev1.Container) ([]corev1.EnvVar, error) {
	env := &environment{values: map[string]string{}}
	for i := range c.EnvFrom {
		if err := r.envFrom(fmt.Sprintf("%s.envFrom[%d]", at, i), &c.EnvFrom[i], env); err != nil {
			return nil, err
		}
	}
	for i := range c.Env {
		variable := &c.Env[i]
		switch {
		case variable.Value != "":
			env.set(variable.Name, expand(variable.Value, in(env.values)))
		case variable.ValueFrom != nil:
			value, ok, err := r.valueFrom(fmt.Sprintf("%s.env[%d].valueFrom", at, i), variable.ValueFrom, c)
			if err != nil {
				return nil, err
			}
			if ok {
				env.set(variable.Name, value)
			}
		default:
			env.set(variable.Name, "")
		}
	}
	out := make([]corev1.EnvVar, 0, len(env.names))
	for _, name := range env.names {
		if strings.ContainsRune(env.values[name], 0) {
			return nil, refuse(at+".env", ReasonInvalid, "the value of %s holds a NUL byte, which no process can be given", name)
		}
		out = append(out, corev1.EnvVar{Name: name, Value: env.values[name]})
	}
	return out, nil
}

// envFrom adds all keys of a ConfigMap or Secret.
func (r *resolver) envFrom(at string, from *corev1.EnvFromSource, env *environment) error {
	add := func(field string, data FileData, skip func([]byte) bool) error {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			name := from.Prefix + key
			if skip(data[key]) {
				continue
			}
			if problem := envName(name); problem != "" {
				return refuse(field, ReasonInvalid, "key %q makes no name of a variable: it %s", key, problem)
			}
			env.set(name, string(data[key]))
		}
		return nil
	}
	switch {
	case from.ConfigMapRef != nil:
		data, err := r.configMap(at+".configMapRef.name", from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		if err != nil {
			return err
		}
		return add(at+".configMapRef", data, isBinary)
	case from.SecretRef != nil:
		data, err := r.secret(at+".secretRef.name", from.SecretRef.Name, from.SecretRef.Optional)
		if err != nil {
			return err
		}
		return add(at+".secretRef", data, func([]byte) bool { return false })
	}
	return nil
}

// valueFrom is the value that a variable refers to, and false where it is optional and not there.
func (r *resolver) valueFrom(at string, from *corev1.EnvVarSource, c *corev1.Container) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := r.fieldRef(at+".fieldRef", from.FieldRef)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err := r.resourceFieldRef(at+".resourceFieldRef", from.ResourceFieldRef, c)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := r.configMap(at+".configMapKeyRef.name", ref.Name, ref.Optional)
		if err != nil {
			return "", false, err
		}
		value, ok := data[ref.Key]
		ok = ok && !isBinary(value)
		if !ok && !isTrue(ref.Optional) {
			return "", false, missing(at+".configMapKeyRef.key", "ConfigMap %s has no key %s", ref.Name, ref.Key)
		}
		return string(value), ok, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := r.secret(at+".secretKeyRef.name", ref.Name, ref.Optional)
		if err != nil {
			return "", false, err
		}
		value, ok := data[ref.Key]
		if !ok && !isTrue(ref.Optional) {
			return "", false, missing(at+".secretKeyRef.key", "Secret %s has no key %s", ref.Name, ref.Key)
		}
		return string(value), ok, nil
	default:
		return "", false, refuse(at, ReasonUnsupported, "this source of a variable is not supported")
	}
}

// configMap is the ConfigMap's data, none where it is optional and not there.
func (r *resolver) configMap(at, name string, optional *bool) (FileData, error) {
	return r.object(r.payload.ConfigMaps, "ConfigMap", at, name, optional)
}

// secret is the Secret's data, none where it is optional and not there.
func (r *resolver) secret(at, name string, optional *bool) (FileData, error) {
	return r.object(r.payload.Secrets, "Secret", at, name, optional)
}

func (r *resolver) object(all map[string]FileData, kind, at, name string, optional *bool) (FileData, error) {
	data, ok := all[name]
	if !ok && !isTrue(optional) {
		return nil, missing(at, "%s %s is not there", kind, name)
	}
	return data, nil
}

// isBinary tells whether a value of a ConfigMap comes from binaryData, which env does not see. Values of data are text, and kubectl puts
// what is not text into binaryData.
func isBinary(value []byte) bool { return !utf8.Valid(value) }

func isTrue(b *bool) bool { return b != nil && *b }

// envName tells what is wrong with a variable's name, as the API server would; nothing for a good one.
func envName(name string) string {
	if name == "" {
		return "must not be empty"
	}
	for _, r := range name {
		if r < ' ' || r > '~' || r == '=' {
			return "must consist of printable ASCII characters other than '='"
		}
	}
	return ""
}
