// Package store keeps what has to survive a restart: rows of bytes under keys
// of bytes, in buckets with limits. What they mean is for others to know.
//
// Changes are made by Update, which returns when they are on the disk, or
// queued by Write, for callers that must not wait for a disk: Run makes them,
// many at once, and tells each when it is done. A set of changes is made as a
// whole or not at all, whenever the power fails.
//
// # How it works
//
// What is written at once is one record in a log, and the disk is waited for
// once. Then it is in an overlay in memory, over the database, and so are reads
// of it. When a log is half full, or something has stood in it for 30 s, its
// overlay is folded into the database, in one transaction, beside the writes
// that go on in the other log; a row that has come and gone by then never gets
// there. Each record has a number, one higher than the one before, and the
// database knows that of the last one it has: so what is in both counts once,
// and a log whose records are all in the database is written over from its beginning.
//
//	Write ──▶ queue ──▶ record in a log, fdatasync ──▶ done
//	                    active overlay ──▶ frozen overlay ──▶ database
//
// After a write or a wait for the disk that has failed nobody knows what is in
// the log, whatever the system says later. It gets no more records: first
// everything up to the number that has failed goes into the database, then
// there is a new file in its place. Until that works nothing is taken. A
// database whose disk has failed is not written again before the next start.
//
// # Layout of the database
//
// The file is a bbolt database. Its bucket "meta" has the rows "version", a
// decimal number: that of this layout is 2 (1 had no log), and "folded", the
// number of the last record that is in the database, 8 bytes, big endian. Each
// bucket of ours is one of bbolt's with the prefix "b:", and holds
//
//	rows   key -> age, value    age is 8 bytes, big endian; zeros in a sorted bucket
//	ages   age -> key           so that the oldest row is found; empty in a sorted bucket
//	count                       the number of rows, 8 bytes, big endian
//
// # Layout of a log
//
// The logs have the database's name with ".log1" and ".log2" behind it, and
// 4 MiB each, which are written before they are used. Numbers are big endian,
// checksums CRC-32C. The header has the first 4096 bytes:
//
//	"meshgate log", version (4 bytes; 1), salt (8 bytes), checksum (4 bytes)
//
// Then come the records, each at a multiple of 8:
//
//	length (4 bytes)      of what follows the checksum
//	checksum (4 bytes)    of the salt, the length and what follows
//	number (8 bytes)
//	changes, each         0 bucket | 1 key age value | 2 key
//	                      a byte for what it is; bucket, key and value with their
//	                      length in front, and that and age as uvarint. The bucket
//	                      (with its "b:") is that of the changes behind it
//
// The records of a log end where the next one has a wrong checksum or does not
// have the next number. That is what a power cut leaves, and of no concern,
// unless behind it there is a record that is newer still, or the records of
// both logs have a gap: then the log is damaged.
//
// # A file that cannot be read
//
// A database is put aside under another name, with its logs, and a new one is begun: a
// gateway that has forgotten is of more use than none. Of a damaged log a copy is
// put aside, and what it holds up to the damage is taken. Nothing is ever deleted
// for that, and after maxAside such files Open gives up instead.
package store
