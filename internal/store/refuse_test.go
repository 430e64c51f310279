package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// The log tells of a row once for each reason, whatever numbers the server's text has, and remembers so many rows.
func TestRefusalsAreToldOnce(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var told refusals
	lines := func(found map[string]error) int {
		log.Reset()
		told.tell(t.Context(), logger, found)
		return strings.Count(log.String(), "rows refuse")
	}
	checked := func(text string) error { return &pgconn.PgError{Code: "23514", ConstraintName: "few", Message: text} }
	raised := errors.New("not this one")
	for i, tt := range []struct {
		found map[string]error
		want  int
	}{
		{map[string]error{"a": checked("1 is too many")}, 1},
		{map[string]error{"a": checked("2 is too many")}, 0},
		{map[string]error{"a": checked("3 is too many"), "b": raised}, 1},
		{map[string]error{"a": raised, "b": raised}, 1}, // another reason
		{map[string]error{"a": raised, "b": raised}, 0},
	} {
		if got := lines(tt.found); got != tt.want {
			t.Errorf("%d: %d lines, want %d", i, got, tt.want)
		}
	}
	many := map[string]error{}
	for i := range mostRefusals + 5 {
		many[fmt.Sprint(i)] = raised
	}
	if first, again := lines(many), lines(many); first != 1 || again != 0 || len(told.told) != mostRefusals {
		t.Errorf("of many rows %d lines, then %d, with %d remembered; want 1, 0 and %d", first, again, len(told.told), mostRefusals)
	}
	log.Reset()
	told.end(t.Context(), logger, slices.Values([]string{"a", "z", "b"}))
	if got := log.String(); !strings.Contains(got, "rows=2 entry_id=a") {
		t.Errorf("the end is told as %q", got)
	}
	if got := lines(map[string]error{"b": raised}); got != 1 {
		t.Errorf("a row that refuses again has %d lines, want 1", got)
	}
}
