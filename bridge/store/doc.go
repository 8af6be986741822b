// Package store keeps what has to survive a restart in one file: rows of bytes
// under keys of bytes, in buckets with limits. What they mean is for others to know.
//
// Changes are made by Update, which returns when they are on the disk, or
// queued by Write, for callers that must not wait for a disk: Run makes them,
// many at once, and tells each when it is done. A set of changes is made as a
// whole or not at all, whenever the power fails.
//
// # Layout
//
// The file is a bbolt database. Its bucket "meta" has the row "version", a
// decimal number: that of this layout is 1. Each bucket of ours is one of
// bbolt's with the prefix "b:", and holds
//
//	rows   key -> age, value    age is 8 bytes, big endian; zeros in a sorted bucket
//	ages   age -> key           so that the oldest row is found; empty in a sorted bucket
//	count                       the number of rows, 8 bytes, big endian
//
// # A file that cannot be read
//
// It is put aside under another name and a new one is begun: a gateway that
// has forgotten is of more use than none. Nothing is ever deleted for that,
// and after maxAside such files Open gives up instead.
package store
