package store

import (
	"testing"

	"pgregory.net/rapid"
)

// What is taken in of four rows by turns is what is taken in of each alone.
func TestDigestsOfManyRowsAreThoseOfEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.Just("bench.tasks.report"), rapid.String(), rapid.StringN(0, 40, 400))
		var rows []row
		for range rapid.IntRange(0, 9).Draw(t, "rows") {
			rows = append(rows, row{task: text.Draw(t, "task"), args: text.Draw(t, "args"), kwargs: text.Draw(t, "kwargs"), options: text.Draw(t, "options"), spec: "@every 1h"})
		}
		alone := append([]row(nil), rows...)
		digestTexts(rows)
		for i := range rows {
			if got, want := rows[i].fingerprint("UTC"), alone[i].fingerprint("UTC"); got != want {
				t.Fatalf("row %d of %d has the fingerprint %x, want %x", i, len(rows), got, want)
			}
		}
	})
}
