package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// overlayOf is one that says that. Where the age is 0 the row is gone.
func overlayOf(bucket string, rows ...*row) *overlay {
	p := &part{rows: map[string]*row{}}
	for _, r := range rows {
		r.below = r.gone
		p.set(r)
	}
	return &overlay{map[string]*part{bucketPrefix + bucket: p}}
}

// say is what a record says, in words.
func say(r record) string {
	out := []string{fmt.Sprint(r.seq)}
	for c, err := range r.changes() {
		switch {
		case err != nil:
			return err.Error()
		case c.gone:
			out = append(out, c.bucket+"-"+c.key)
		default:
			out = append(out, fmt.Sprintf("%s+%s:%d=%s", c.bucket, c.key, c.age, c.value))
		}
	}
	return strings.Join(out, " ")
}

const testSalt = 0x0102030405060708

// aLog is one with records of these numbers.
func aLog(seqs ...uint64) []byte {
	b := append(appendHeader(nil, testSalt), make([]byte, logStart-logHeader)...)
	for _, seq := range seqs {
		b = appendRecord(b, testSalt, seq, overlayOf("x", &row{key: "k", age: seq, value: []byte("v")}))
	}
	return append(b, make([]byte, 100)...)
}

func TestTheLayoutOfALog(t *testing.T) {
	header := appendHeader(nil, testSalt)
	if got, want := hex.EncodeToString(header), hex.EncodeToString([]byte(logMagic))+"00000001"+"0102030405060708"+"c309422c"; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	o := overlayOf("a", &row{key: "k", age: 300, value: []byte("val")}, &row{key: "old", age: 301, gone: true})
	b := appendRecord(nil, testSalt, 9, o)
	want := "0000001b" + "73476243" + "0000000000000009" +
		"00" + "03" + hex.EncodeToString([]byte("b:a")) + // the bucket
		"01" + "01" + hex.EncodeToString([]byte("k")) + "ac02" + "03" + hex.EncodeToString([]byte("val")) +
		"02" + "03" + hex.EncodeToString([]byte("old")) + "0000000000"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("record\n%s, want\n%s", got, want)
	}
	r, n, ok := parseRecord(b, testSalt)
	if !ok || n != len(b) || say(r) != "9 b:a+k:300=val b:a-old" {
		t.Errorf("parsed %v, %d bytes: %s", ok, n, say(r))
	}
	if _, _, ok := parseRecord(b, testSalt+1); ok {
		t.Error("a record of another log is taken")
	}
}

func TestALogEndsWhereItsRecordsDo(t *testing.T) {
	alter := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	size := (len(aLog(1)) - len(aLog())) // of a record
	at := func(i int) int { return logStart + i*size }
	whole := aLog(5, 6, 7)
	for _, tt := range []struct {
		name  string
		log   []byte
		want  string
		stray uint64
	}{
		{"empty", aLog(), "", 0},
		{"whole", whole, "5 6 7", 0},
		{"torn at its end", alter(whole, at(2)+9), "5 6", 0},
		{"cut off", whole[:at(2)+8], "5 6", 0},
		{"with older ones behind", aLog(5, 6, 2, 3), "5 6", 0},
		{"with older ones behind a torn one", alter(aLog(5, 6, 2), at(1)+9), "5", 0},
		{"damaged", alter(whole, at(1)+12), "5", 7},
		{"damaged at its beginning", alter(whole, at(0)), "", 7},
	} {
		l, err := parseLog(tt.log, 0)
		var got []string
		for _, r := range l.records {
			got = append(got, fmt.Sprint(r.seq))
		}
		if err != nil || strings.Join(got, " ") != tt.want || l.stray != tt.stray {
			t.Errorf("%s: records %v, behind them %d, %v; want %s, %d", tt.name, got, l.stray, err, tt.want, tt.stray)
		}
	}
	for i := range logHeader {
		want := ErrDamaged
		if i >= len(logMagic) && i < len(logMagic)+3 {
			want = ErrNewer // the high bytes of the version
		}
		if _, err := parseLog(alter(whole, i), 0); !errors.Is(err, want) && !errors.Is(err, ErrDamaged) {
			t.Errorf("with another byte %d: %v", i, err)
		}
		if _, err := parseLog(whole[:i], 0); !errors.Is(err, ErrDamaged) {
			t.Errorf("of %d bytes: %v", i, err)
		}
	}
}

func TestOnlyRecordsThatFollowAreTaken(t *testing.T) {
	rec := func(seqs ...uint64) (list []record) {
		for _, seq := range seqs {
			list = append(list, record{seq: seq})
		}
		return list
	}
	for _, tt := range []struct {
		name string
		in   found
		want []record
		gap  uint64
	}{
		{"nothing", found{last: 4}, nil, 0},
		{"both logs", found{records: rec(7, 8, 5, 6), last: 8}, rec(5, 6, 7, 8), 0},
		{"one is missing between them", found{records: rec(8, 9, 5, 6), last: 9}, rec(5, 6), 7},
		{"the first is missing", found{records: rec(6), last: 6}, nil, 5},
		{"the last cannot be read", found{records: rec(5), last: 7}, rec(5), 6},
		{"one is there twice", found{records: rec(5, 5), last: 5}, rec(5), 0},
	} {
		gap := tt.in.join(4)
		if diff := cmp.Diff(len(tt.want), len(tt.in.records)); diff != "" || gap != tt.gap {
			t.Errorf("%s: missing %d, want %d; records %v", tt.name, gap, tt.gap, tt.in.records)
		}
	}
}

// Whatever stands in a log, reading it ends, and what is read can be written again.
func FuzzLog(f *testing.F) {
	f.Add(aLog(5, 6, 7))
	f.Add(aLog(5, 6, 2, 3))
	f.Add(aLog()[:logStart])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLog(b, 1)
		if err != nil && len(l.records) > 0 {
			t.Fatal("records with an error")
		}
		for i, r := range l.records {
			if i > 0 && r.seq != l.records[i-1].seq+1 {
				t.Fatalf("record %d follows %d", r.seq, l.records[i-1].seq)
			}
			say(r)
		}
	})
}

// A record with a good checksum may yet say anything.
func FuzzRecord(f *testing.F) {
	r, _, _ := parseRecord(appendRecord(nil, testSalt, 9, overlayOf("a",
		&row{key: "k", age: 300, value: []byte("val")}, &row{key: "old", age: 301, gone: true})), testSalt)
	f.Add(r.body)
	f.Add([]byte{opBucket, 3, 'b', ':', 'a', opDelete, 0})
	f.Add([]byte{opPut, 1, 'k'})
	f.Add([]byte{opBucket, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		o := newOverlay()
		for c, err := range (record{seq: 1, body: body}).changes() {
			if err != nil {
				return
			}
			if o.parts[c.bucket] == nil {
				o.parts[c.bucket] = &part{rows: map[string]*row{}}
			}
			o.parts[c.bucket].set(&row{key: c.key, value: c.value, age: c.age, gone: c.gone, below: true})
		}
		if o.empty() {
			return
		}
		r, _, ok := parseRecord(appendRecord(nil, testSalt, 1, o), testSalt)
		if !ok {
			t.Fatal("what was written does not parse")
		}
		for c, err := range r.changes() {
			was := o.parts[c.bucket].rows[c.key]
			if err != nil || was == nil || was.gone != c.gone || !c.gone && (was.age != c.age || !bytes.Equal(was.value, c.value)) {
				t.Fatalf("%v is read back as %v, %v", was, c, err)
			}
		}
	})
}
