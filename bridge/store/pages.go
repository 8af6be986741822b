package store

import "go.etcd.io/bbolt"

// touchedMost is how much of the database may be read before its pages are
// let go of: bbolt maps the file, and what was read once counts as memory of
// this process for as long as the system has no other use for it. With 100,000
// messages that wait that would be all of them.
const touchedMost = 4 << 20

// touched counts what was read of the database within tx.
func (s *Store) touched(tx *bbolt.Tx, bytes int) {
	if s.read.Add(int64(bytes)+2*int64(s.db.Info().PageSize)) > touchedMost {
		s.letGo(tx)
	}
}

// letGoAll lets go of the pages that another transaction has read.
func (s *Store) letGoAll() {
	_ = s.db.View(func(tx *bbolt.Tx) error { // it is open
		s.letGo(tx)
		return nil
	})
}

// letGo lets go of all pages that were read. Who needs one again has it from
// the system's cache. While there is a transaction the map stays where it is.
func (s *Store) letGo(tx *bbolt.Tx) {
	s.read.Store(0)
	letGo(s.db.Info().Data, uintptr(tx.Size()))
}
