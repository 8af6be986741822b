package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// maxListed caps the entries of any list in the file.
const maxListed = 1000

// A decoder fills the shape of config.go from a tree of YAML. It goes on after
// a problem, so that all of them are found in one go, and notes in which line
// each key stands.
//
// The shape's tags are its rules: yaml:"key", range:"min max" for numbers and
// durations, choice:"a b c" for texts.
type decoder struct {
	*problems
	lines map[string]int // key path -> line
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes n into v. What n does not say keeps the default that v has.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	d.lines[path] = n.Line
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n.Line, path, `aliases (*%s) are not supported: write the value itself, or put quotes around it, as in "*%s"`, n.Value, n.Value)
	case n.Anchor != "":
		d.add(n.Line, path, "anchors (&%s) are not supported: write the value itself, or put quotes around it", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n.Line, path, "YAML tags (%s) are not supported: remove the tag, or put quotes around the value", n.Tag)
	case v.Kind() == reflect.Struct:
		d.section(n, path, v)
	case v.Kind() == reflect.Slice:
		d.list(n, path, v, tag)
	default:
		d.scalar(n, path, v, tag)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// section decodes a mapping into a struct. An empty one changes nothing.
func (d *decoder) section(n *yaml.Node, path string, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.add(n.Line, path, "must be a section with the keys %s; it is %s", strings.Join(keysOf(v.Type()), ", "), kindWords(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		f, known := fieldOf(v.Type(), key.Value)
		switch first, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Value == "<<":
			d.add(key.Line, path, "a key must be a plain word; this one is %s", kindWords(key))
		case twice:
			d.add(key.Line, at, "is here twice, first in line %d; keep one of them", first)
		case !known:
			d.add(key.Line, at, "there is no such key%s", suggest(path, key.Value, v.Type()))
		default:
			seen[key.Value] = key.Line
			d.value(val, at, v.FieldByIndex(f.Index), f.Tag)
			d.lines[at] = key.Line
		}
	}
}

// list decodes a sequence. An empty one is an empty list.
func (d *decoder) list(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.add(n.Line, path, `must be a list, each entry in a line of its own that begins with "- "; it is %s`, kindWords(n))
		return
	}
	if len(n.Content) > maxListed {
		d.add(n.Line, path, "has %d entries; %d is the most", len(n.Content), maxListed)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, e := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if isNull(e) {
			d.add(e.Line, at, `is an empty entry; remove the "-" or write something behind it`)
			continue
		}
		if def, ok := out.Index(i).Addr().Interface().(interface{ setDefaults() }); ok {
			def.setDefaults()
		}
		d.value(e, at, out.Index(i), tag)
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.add(n.Line, path, "must be %s; it is %s", typeWords(v.Type()), kindWords(n))
		return
	}
	if isNull(n) {
		d.add(n.Line, path, "has no value; write %s, or remove the line (what follows a # is a comment: a value with # in it needs quotes)", typeWords(v.Type()))
		return
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, path, v, tag.Get("range"))
	case v.Kind() == reflect.String:
		d.text(n, path, v, tag.Get("choice"))
	case v.Kind() == reflect.Bool:
		d.boolean(n, path, v)
	case v.Kind() == reflect.Int:
		d.number(n, path, v, tag.Get("range"))
	default:
		panic("meshgate: config shape has a " + v.Type().String())
	}
}

// text takes any plain value as it is written: a name of 007 stays "007".
func (d *decoder) text(n *yaml.Node, path string, v reflect.Value, choice string) {
	if choices := strings.Fields(choice); len(choices) > 0 && !slices.Contains(choices, n.Value) {
		d.add(n.Line, path, "is %q; it can be %s", n.Value, orList(choices))
		return
	}
	if n.Value == "" {
		d.add(n.Line, path, "is an empty text; write something, or remove the line")
		return
	}
	v.SetString(n.Value)
}

func (d *decoder) boolean(n *yaml.Node, path string, v reflect.Value) {
	switch n.Value {
	case "true", "false":
		v.SetBool(n.Value == "true")
	default:
		d.add(n.Line, path, "is %q; it can be true or false", n.Value)
	}
}

func (d *decoder) number(n *yaml.Node, path string, v reflect.Value, limits string) {
	x, err := strconv.Atoi(n.Value)
	if err != nil {
		d.add(n.Line, path, "is %q; it must be a whole number", n.Value)
		return
	}
	if lo, hi, ok := strings.Cut(limits, " "); ok && (x < mustInt(lo) || x > mustInt(hi)) {
		d.add(n.Line, path, "is %d; it must be from %s to %s", x, lo, hi)
		return
	}
	v.SetInt(int64(x))
}

func (d *decoder) duration(n *yaml.Node, path string, v reflect.Value, limits string) {
	x, err := time.ParseDuration(n.Value)
	switch _, notNumber := strconv.Atoi(n.Value); {
	case notNumber == nil:
		d.add(n.Line, path, "is %q without a unit; write %ss for seconds or %sm for minutes", n.Value, n.Value, n.Value)
		return
	case err != nil:
		d.add(n.Line, path, "is %q; it must be a time with its unit: 30s, 5m or 1h30m", n.Value)
		return
	}
	if lo, hi, ok := strings.Cut(limits, " "); ok && (x < mustDuration(lo) || x > mustDuration(hi)) {
		d.add(n.Line, path, "is %s; it must be from %s to %s", n.Value, lo, hi)
		return
	}
	v.SetInt(int64(x))
}

// mustInt and mustDuration read limits from our own tags.
func mustInt(s string) int {
	x, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return x
}

func mustDuration(s string) time.Duration {
	x, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return x
}

func typeWords(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a time, as in 30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a number"
	default:
		return "a text"
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
