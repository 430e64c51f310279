package store_test

import (
	"path/filepath"
	"testing"

	"github.com/onebeat/onebeat/internal/store"
)

func TestRoomIsOfTheDiskOfAFile(t *testing.T) {
	missing := "sqlite:///" + filepath.Join(t.TempDir(), "none.db")
	for _, tt := range []struct {
		name, url string
		missing   store.Missing
		want      bool
	}{
		{"a file", "sqlite:///" + filepath.Join(t.TempDir(), "room.db"), store.MissingMade, true},
		{"memory in place of one that is not there", missing, store.MissingEmpty, false},
	} {
		s, err := store.Open(t.Context(), tt.url, store.Options{Missing: tt.missing})
		if err != nil {
			t.Fatal(err)
		}
		if left, ok := s.Room(); ok != tt.want || ok && left == 0 {
			t.Errorf("%s: Room = %d, %v, want %v", tt.name, left, ok, tt.want)
		}
		s.Close()
	}
}
