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

package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kjson "sigs.k8s.io/json"
)

// typed walks through JSON beside the Go type that it is about to be decoded into. It goes first because encoding/json does not say in
// which element of a list it choked, quotes what it choked on, which may be a secret, and hands numbers to the decoders of quantities
// that those are at work on for hours.
type typed struct {
	Scanner
	path []string
}

// Check tells whether a JSON text can be decoded into a value of the type of out. It fails with a SyntaxError, or with a TypeError that
// names the field, from where the text stands on. Fields that a pod's spec does not have are refused, those of everything else are passed over.
func Check(text []byte, out any, where ...string) error {
	t := &typed{Scanner: Scanner{data: text}, path: where}
	if err := t.value(reflect.TypeOf(out).Elem(), false); err != nil {
		return err
	}
	return t.End()
}

// Unmarshal decodes a JSON text as encoding/json does, and fails as Check does.
func Unmarshal(text []byte, out any, where ...string) error {
	if !costly(text) {
		// Of most texts one pass tells that there is nothing to tell.
		if strict, err := kjson.UnmarshalStrict(text, out, kjson.DisallowUnknownFields); err == nil && len(strict) == 0 {
			return nil
		}
		reflect.ValueOf(out).Elem().SetZero()
	}
	if err := Check(text, out, where...); err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

var (
	quantityType    = reflect.TypeFor[resource.Quantity]()
	podSpecType     = reflect.TypeFor[corev1.PodSpec]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value walks through one value of a type. strict is true within a pod's spec.
func (t *typed) value(kind reflect.Type, strict bool) error {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if null, err := t.Null(); null || err != nil {
		return err
	}
	if kind == quantityType {
		return t.leaf("a quantity such as 500m or 2Gi", quantity)
	}
	if pointer := reflect.PointerTo(kind); pointer.Implements(unmarshalerType) || pointer.Implements(textType) {
		return t.leaf("a value of another form", func(raw []byte) bool { return json.Unmarshal(raw, reflect.New(kind).Interface()) == nil })
	}
	switch kind.Kind() {
	case reflect.Struct:
		return t.structure(kind, strict || kind == podSpecType)
	case reflect.Map:
		return t.members(func(key string) error {
			return t.within("["+Clipped(key)+"]", func() error { return t.value(kind.Elem(), strict) })
		})
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Uint8 {
			return t.leaf("a base64 string", func(raw []byte) bool { return json.Unmarshal(raw, new([]byte)) == nil })
		}
		return t.elements(kind.Elem(), strict)
	case reflect.String:
		return t.leaf("a string", func(raw []byte) bool { return raw[0] == '"' })
	case reflect.Bool:
		return t.leaf("true or false", func(raw []byte) bool { return raw[0] == 't' || raw[0] == 'f' })
	case reflect.Int, reflect.Int32, reflect.Int64:
		return t.leaf("a whole number", func(raw []byte) bool {
			_, err := strconv.ParseInt(string(raw), 10, kind.Bits())
			return err == nil
		})
	}
	return fmt.Errorf("there is no rule for a %s", kind)
}

func (t *typed) structure(kind reflect.Type, strict bool) error {
	return t.members(func(key string) error {
		field, known := fieldOf(kind, key)
		switch {
		case known:
			return t.within(field.name, func() error { return t.value(field.kind, strict) })
		case strict:
			return t.within(Clipped(key), func() error {
				return &TypeError{Field: t.where(), Unknown: true}
			})
		}
		return t.Skip()
	})
}

func (t *typed) members(member func(key string) error) error {
	if t.Peek() != '{' {
		return t.wrong("an object")
	}
	return t.Object(func(key []byte) error { return member(string(key)) })
}

func (t *typed) elements(kind reflect.Type, strict bool) error {
	if t.Peek() != '[' {
		return t.wrong("a list")
	}
	i := -1
	return t.Array(func() error {
		i++
		return t.within("["+strconv.Itoa(i)+"]", func() error { return t.value(kind, strict) })
	})
}

// leaf consumes a value and holds its text against what the field takes.
func (t *typed) leaf(want string, good func(raw []byte) bool) error {
	raw, err := t.Raw()
	if err != nil {
		return err
	}
	if !good(raw) {
		return &TypeError{Field: t.where(), Want: want}
	}
	return nil
}

// wrong consumes a value of the wrong type: what is no JSON at all is called that.
func (t *typed) wrong(want string) error {
	return t.leaf(want, func([]byte) bool { return false })
}

func (t *typed) within(step string, walk func() error) error {
	t.path = append(t.path, step)
	err := walk()
	t.path = t.path[:len(t.path)-1]
	return err
}

// where is the path of the value at hand, such as pod.spec.containers[0].image.
func (t *typed) where() string {
	if len(t.path) == 0 {
		return "the body"
	}
	return strings.TrimPrefix(strings.ReplaceAll(strings.Join(t.path, "."), ".[", "["), ".")
}

// Bounds of what a quantity may look like. The library computes with all the digits that an exponent stands for.
const (
	maxQuantityBytes    = 64
	maxQuantityExponent = 30
)

// quantity tells whether a JSON value is a quantity that can be computed with.
func quantity(raw []byte) bool {
	if len(raw) > maxQuantityBytes {
		return false
	}
	text := strings.TrimSpace(strings.Trim(string(raw), `"`))
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		switch exponent := text[i+1:]; exponent {
		case "", "i": // exa and exbi
		default:
			if n, err := strconv.Atoi(exponent); err != nil || n > maxQuantityExponent || n < -maxQuantityExponent {
				return false
			}
		}
	}
	return json.Unmarshal(raw, new(resource.Quantity)) == nil
}

// costly tells whether a text may hold a quantity that must not be decoded unchecked.
func costly(text []byte) bool {
	digits := 0
	for i, c := range text {
		switch {
		case isDigit(c):
			if digits++; digits > maxQuantityBytes {
				return true
			}
		case (c == 'e' || c == 'E') && i > 0 && (digits > 0 || text[i-1] == '.'):
			exponent := bytes.TrimLeft(text[i+1:min(i+4, len(text))], "+-")
			if len(exponent) >= 2 && isDigit(exponent[0]) && isDigit(exponent[1]) {
				return true
			}
			digits = 0
		case c != '.':
			digits = 0
		}
	}
	return false
}

// Clipped bounds what is quoted of a name that somebody else chose.
func Clipped(name string) string {
	const most = 80
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
