package main

import (
	"reflect"
	"strings"
)

// maxGuessed caps the bytes of a wrong key that is compared with ours.
const maxGuessed = 40

// keysOf lists the keys of a section, in the order of the shape.
func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range fields(t) {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}

// fields yields those fields of a section that the file can set.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("yaml") != "" && !yield(f) {
				return
			}
		}
	}
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range fields(t) {
		if f.Tag.Get("yaml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// renamed are the keys of former versions, and what to write in their place.
var renamed = map[string]string{"lan.interface": "interfaces: [eth0]"}

// suggest says what an unknown key in the section at path may have been meant
// for: one of the section's own keys misspelt, or a key of another section.
func suggest(path, key string, t reflect.Type) string {
	if now, ok := renamed[join(path, key)]; ok {
		return " any more; write " + now
	}
	norm := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, dist := "", 3
	for _, k := range keysOf(t) {
		if d := distance(norm, k); d < dist && 2*d <= len(k) {
			best, dist = k, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	for _, p := range pathsOf(reflect.TypeFor[fileConfig](), "") {
		if p[strings.LastIndexByte(p, '.')+1:] == norm && p != join(path, norm) {
			return "; did you mean " + p + "? That belongs to another section: mind the indentation"
		}
	}
	return "; the keys here are " + strings.Join(keysOf(t), ", ")
}

// pathsOf lists the path of every key of the shape, "contacts[].jid".
func pathsOf(t reflect.Type, path string) []string {
	var paths []string
	for f := range fields(t) {
		p := join(path, f.Tag.Get("yaml"))
		paths = append(paths, p)
		switch ft := f.Type; {
		case ft.Kind() == reflect.Struct:
			paths = append(paths, pathsOf(ft, p)...)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			paths = append(paths, pathsOf(ft.Elem(), p+"[]")...)
		}
	}
	return paths
}

// distance is the Levenshtein distance of two keys: how many letters are to
// be put in, left out or changed.
func distance(a, b string) int {
	if len(a) > maxGuessed {
		return maxGuessed
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}
