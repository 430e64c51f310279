package store

// HavePartsOf makes parts of the ledger end after so many runs.
func (s *Store) HavePartsOf(runs int) { s.partRuns = runs }
