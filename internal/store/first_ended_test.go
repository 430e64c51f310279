package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// A interrupted is a database that is lost before the fact is written that the first start has ended of all shards.
type interrupted struct{ database }

func (f interrupted) exec(ctx context.Context, name string, args ...any) (int64, error) {
	if name == "meta_insert" && args[0] == firstLoad {
		return 0, errors.New("the connection is lost")
	}
	return f.database.exec(ctx, name, args...)
}

// A node that is lost once the first start has ended of the last shard, before it said so of all, lets it go on for
// no number of shards.
func TestAFirstStartThatEndedOfEachShardHasEnded(t *testing.T) {
	url := "sqlite:///" + filepath.Join(t.TempDir(), "entries.db")
	s := storeOf(t, url, Options{Shards: 2})
	if _, err := s.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.db = interrupted{s.db}
	for shard, ended := range []bool{false, true} {
		if err := s.begun(t.Context(), shard); (err != nil) != ended {
			t.Fatalf("begun(%d) = %v", shard, err)
		}
		for _, shards := range []int{1, 2, 3} {
			first, err := storeOf(t, url, Options{Shards: shards}).beginning(t.Context())
			if err != nil || first.loading == ended {
				t.Errorf("once it has of %d shards of 2, the first start goes on for %d: %v, %v", shard+1, shards, first.loading, err)
			}
		}
	}
}

// storeOf opens a database, and makes what its tables lack.
func storeOf(t *testing.T, url string, options Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
