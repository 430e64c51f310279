package store

import (
	"testing"
	"time"
)

// Where last_run_at holds the wall clock of a zone, as Django's may, the times of it do not say which slots have ended.
func TestEndedSlotsAreNotToldByAWallClock(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dialect string
		layout  *layout
		want    bool
	}{
		{"PostgreSQL", "postgres", &nativeLayout, true},
		{"Django", "postgres", djangoBy(clocks{}), true},
		{"Django, last_run_at by a wall clock", "postgres", djangoBy(clocks{runs: clock{zone: time.FixedZone("x", 3600), mistaken: true}}), false},
		{"no table", "postgres", &noneLayout, false},
		{"SQLite", "sqlite", &nativeLayout, false},
	} {
		s := &Store{layout: tt.layout, dialect: dialect{texts: loadStatements(tt.dialect, tt.layout)}}
		if got := s.knowsEnded(); got != tt.want {
			t.Errorf("%s: knowsEnded = %v, want %v", tt.name, got, tt.want)
		}
	}
}
