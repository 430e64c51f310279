package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// BenchmarkJournalText writes the journal's text of a full batch.
func BenchmarkJournalText(b *testing.B) {
	slot := time.Unix(1_790_000_000, 0)
	dues := make([]schedule.Due, 1000)
	for i := range dues {
		dues[i] = schedule.Due{Slot: slot, Entry: &schedule.Entry{ID: schedule.ID(fmt.Sprintf("0b6d6a4e-3b0e-4d2c-8a3c-%012d", i)), Digest: uint64(i) << 40}}
	}
	b.ReportAllocs()
	for b.Loop() {
		journalText(dues)
	}
}
