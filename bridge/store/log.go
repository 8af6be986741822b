package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"slices"
	"strings"
)

// The log's layout is in the package's comment. Magic and version keep their
// places in all versions.
const (
	logMagic    = "meshgate log"
	logVersion  = 1
	logHeader   = len(logMagic) + 4 + 8 + crc32.Size
	logStart    = 4096 // of the first record: the header has a block of its own
	logAlign    = 8    // of every record
	recordStart = 4 + crc32.Size
	recordHead  = recordStart + 8
)

// What a record says.
const (
	opBucket = iota // name: of the bucket that the next ones are about
	opPut           // key, age, value
	opDelete        // key
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends the header of a log with that salt, a number of its own.
func appendHeader(b []byte, salt uint64) []byte {
	start := len(b)
	b = append(b, logMagic...)
	b = binary.BigEndian.AppendUint32(b, logVersion)
	b = binary.BigEndian.AppendUint64(b, salt)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseHeader(b []byte) (salt uint64, err error) {
	if len(b) < logStart || string(b[:len(logMagic)]) != logMagic {
		return 0, fmt.Errorf("%w: it has no header", ErrDamaged)
	}
	if binary.BigEndian.Uint32(b[len(logMagic):]) > logVersion {
		return 0, ErrNewer
	}
	sum := logHeader - crc32.Size
	if binary.BigEndian.Uint32(b[sum:]) != crc32.Checksum(b[:sum], castagnoli) {
		return 0, fmt.Errorf("%w: its header has a wrong checksum", ErrDamaged)
	}
	return binary.BigEndian.Uint64(b[len(logMagic)+4:]), nil
}

// appendRecord appends the changes of an overlay as the record of that number,
// with what fills it up to logAlign. b has to be aligned already.
func appendRecord(b []byte, salt, seq uint64, o *overlay) []byte {
	start := len(b)
	b = append(b, make([]byte, recordStart)...)
	b = binary.BigEndian.AppendUint64(b, seq)
	for _, name := range slices.Sorted(maps.Keys(o.parts)) {
		b = appendPart(b, name, o.parts[name])
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-recordStart))
	binary.BigEndian.PutUint32(b[start+4:], recordSum(salt, b[start:]))
	return append(b, make([]byte, -len(b)&(logAlign-1))...)
}

func appendPart(b []byte, name string, p *part) []byte {
	b = appendBytes(append(b, opBucket), name)
	for r := range p.live() {
		if r.gone {
			b = appendBytes(append(b, opDelete), r.key)
			continue
		}
		b = appendBytes(append(b, opPut), r.key)
		b = binary.AppendUvarint(b, r.age)
		b = appendBytes(b, r.value)
	}
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// recordSum is the checksum of a record, of which the length counts, too. The
// salt keeps apart what another log has left on the same blocks of the disk,
// and what looks like a record in somebody's words.
func recordSum(salt uint64, record []byte) uint32 {
	var head [12]byte
	binary.BigEndian.PutUint64(head[:], salt)
	copy(head[8:], record[:4])
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, record[recordStart:])
}

// A record is one of a log: a set of changes that is made as a whole.
type record struct {
	seq  uint64
	body []byte // see changes
}

// parseRecord reads the record that b begins with, and how many bytes it has there.
func parseRecord(b []byte, salt uint64) (r record, size int, ok bool) {
	if len(b) < recordHead {
		return r, 0, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n < recordHead-recordStart || n > uint64(len(b)-recordStart) {
		return r, 0, false
	}
	b = b[:recordStart+int(n)]
	if binary.BigEndian.Uint32(b[4:]) != recordSum(salt, b) {
		return r, 0, false
	}
	size = (len(b) + logAlign - 1) &^ (logAlign - 1)
	return record{binary.BigEndian.Uint64(b[recordStart:]), b[recordHead:]}, size, true
}

// A logged is what a log holds: records with numbers without a gap. Behind
// them there is what a power cut has left of one more, or, where the log has
// been begun anew, older records. Newer ones are there only if something has
// damaged those before them.
type logged struct {
	salt    uint64
	records []record // with parts of what was parsed
	stray   uint64   // the highest number of those; 0: there is none
}

// maxAhead is how far a number can be ahead of those that are known.
const maxAhead = 2 * maxLogBytes / recordHead

// parseLog reads a log. Records up to folded are of no interest where they
// stand behind others.
func parseLog(b []byte, folded uint64) (l logged, err error) {
	if l.salt, err = parseHeader(b); err != nil {
		return l, err
	}
	b = b[logStart:]
	for {
		r, n, ok := parseRecord(b, l.salt)
		if !ok || len(l.records) > 0 && r.seq != l.records[len(l.records)-1].seq+1 {
			break
		}
		l.records = append(l.records, r)
		b = b[min(n, len(b)):]
	}
	last := folded
	if n := len(l.records); n > 0 {
		last = max(last, l.records[n-1].seq)
	}
	for ; len(b) >= recordHead; b = b[logAlign:] {
		seq := binary.BigEndian.Uint64(b[recordStart:])
		if seq <= last || seq-last > maxAhead { // looked at first: a checksum may be one of all of the rest
			continue
		}
		if _, _, ok := parseRecord(b, l.salt); ok {
			l.stray = max(l.stray, seq)
		}
	}
	return l, nil
}

// A logChange is one change of a record. Its bytes are the record's.
type logChange struct {
	bucket, key string
	value       []byte
	age         uint64
	gone        bool
}

// changes are those of the record. One that has a good checksum and makes no
// sense ends them with an error.
func (r record) changes() iter.Seq2[logChange, error] {
	return func(yield func(logChange, error) bool) {
		d := decoder{b: r.body}
		var c logChange
		for len(d.b) > 0 && !d.bad {
			op := d.byte()
			switch op {
			case opBucket:
				c.bucket = string(d.bytes())
				continue
			case opPut:
				c.key, c.age, c.value, c.gone = string(d.bytes()), d.uvarint(), d.bytes(), false
			case opDelete:
				c.key, c.age, c.value, c.gone = string(d.bytes()), 0, nil, true
			default:
				d.bad = true
			}
			if !d.bad && (!strings.HasPrefix(c.bucket, bucketPrefix) || c.key == "" || len(c.key) > maxKey) {
				d.bad = true
			}
			if !d.bad && !yield(c, nil) {
				return
			}
		}
		if d.bad {
			yield(c, fmt.Errorf("%w: record %d makes no sense", ErrDamaged, r.seq))
		}
	}
}

// A decoder takes values off b; bad: there are none, or not as they should be.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}
