package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// herd fills a table with entries of some 500 bytes and returns their ids in the order in which they lie.
func herd(t *testing.T, s *Store, entries int) []schedule.ID {
	t.Helper()
	var all []Definition
	for i := range entries {
		all = append(all, Definition{Name: fmt.Sprint(i), Task: "tasks.add", Spec: "0 9 * * *", Kwargs: `{"text": "` + strings.Repeat("x", 400) + `"}`})
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var ids []schedule.ID
	rows, err := s.db.(*postgres).pool.Query(t.Context(), "SELECT id::text FROM celery_beat_schedules ORDER BY ctid")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id schedule.ID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil || len(ids) != entries {
		t.Fatalf("%d rows, %v", len(ids), err)
	}
	return ids
}

// sentTimes checks that the rows of these ids, and no others, were sent so often and last at a slot.
func sentTimes(t *testing.T, s *Store, ids []schedule.ID, often int, slot time.Time) {
	t.Helper()
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent, wrong := make(map[schedule.ID]bool, len(ids)), 0
	for _, id := range ids {
		sent[id] = true
	}
	for _, row := range rows {
		want, at := int64(0), time.Time{}
		if sent[row.ID] {
			want, at = int64(often), slot
		}
		if row.TotalRunCount != want || !row.LastRunAt.Equal(at) {
			if wrong++; wrong < 4 {
				t.Errorf("row %s was sent %d times, last at %v, want %d and %v", row.Name, row.TotalRunCount, row.LastRunAt, want, at)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d rows are wrong", wrong)
	}
}

func TestRowsOfAHerdAreLookedForInNoIndex(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_stretch")
	pool := s.db.(*postgres).pool
	ids := herd(t, s, 6000)
	lookups := func(rows int64, how string) (scans int64) { // told of with rows
		t.Helper()
		heardOf(t, pool, rows, how)
		err := pool.QueryRow(t.Context(), "SELECT pg_stat_get_numscans('celery_beat_schedules_pkey'::regclass)").Scan(&scans)
		if err != nil {
			t.Fatal(err)
		}
		return scans
	}
	before := lookups(6000, "inserted")
	slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	sendAll(t, s, ids[:4000], slot)
	sentTimes(t, s, ids[:4000], 1, slot)
	if took := lookups(4000, "updated") - before; took > 2*stretchAsked {
		t.Errorf("the index was asked %d times for 4000 rows that lie beside each other, want %d at most", took, 2*stretchAsked)
	}
	var few []schedule.ID
	for i := 0; i < len(ids); i += 3 { // one of three: two thirds of what is read is not theirs
		few = append(few, ids[i])
	}
	sendAll(t, s, few[:stretchFrom-1], slot.Add(time.Hour)) // too few
	if took := lookups(4000+stretchFrom-1, "updated") - before; took < stretchFrom-1 {
		t.Errorf("the index was asked %d times for %d rows", took, stretchFrom-1)
	}
}

// Where a herd's rows lie is a guess. What lies elsewhere, is gone, or is moved to another page as it is written, is counted once too.
func TestWhatIsNotInTheStretchIsCountedOnce(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full pages %v", full), func(t *testing.T) {
			s := scratchedPostgres(t, "onebeat_astray")
			pool := s.db.(*postgres).pool
			exec := func(text string, args ...any) {
				t.Helper()
				if _, err := pool.Exec(t.Context(), text, args...); err != nil {
					t.Fatal(err)
				}
			}
			if full {
				exec("ALTER TABLE celery_beat_schedules SET (fillfactor = 100)")
			}
			ids := herd(t, s, 9000)
			gone := string(ids[500])
			exec("DELETE FROM celery_beat_schedules WHERE id::text = $1", gone)
			some := slices.Insert(slices.Clone(ids[:3000]), 1, ids[8000:8050]...) // between the first that is asked for and the second
			there := slices.DeleteFunc(slices.Clone(some), func(id schedule.ID) bool { return string(id) == gone })
			slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			sendAll(t, s, some, slot)
			sentTimes(t, s, there, 1, slot)
			sendAll(t, s, some, slot.Add(time.Hour))
			sentTimes(t, s, there, 2, slot.Add(time.Hour))
			if s.Shard(0).scattered.Load() != 0 {
				t.Error("no stretch is tried any more, though it had nearly all rows")
			}
		})
	}
}

// Rows are found by ids of every type that a table may have, one by one and in a stretch.
func TestRowsAreFoundByIdsOfAnyType(t *testing.T) {
	for _, kind := range []string{"uuid", "varchar(36)", "char(36)", "bigint", "integer", "text"} {
		t.Run(kind, func(t *testing.T) {
			s := scratchedPostgres(t, "onebeat_kinds")
			using := "id::text::" + kind
			if strings.Contains(kind, "int") {
				using = "((ctid::text::point)[0] * 1000 + (ctid::text::point)[1])::" + kind
			}
			herd(t, s, 2500)
			execAll(t, s,
				"ALTER TABLE celery_beat_schedules ALTER COLUMN id DROP DEFAULT",
				"ALTER TABLE celery_beat_schedules ALTER COLUMN id TYPE "+kind+" USING "+using,
			)
			if err := s.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			ids := idsOf(t, s)
			slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			sendAll(t, s, ids, slot)
			sentTimes(t, s, ids, 1, slot)
			for some := range slices.Chunk(ids, stretchFrom/2) { // by their ids
				sendAll(t, s, some, slot.Add(time.Hour))
			}
			sentTimes(t, s, ids, 2, slot.Add(time.Hour))
		})
	}
}

// execAll runs statements, one after the other.
func execAll(t *testing.T, s *Store, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := s.db.(*postgres).pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// tellTwice tells rows of two runs, and looks after each whether they know.
func tellTwice(t *testing.T, s *Store, ids []schedule.ID) {
	t.Helper()
	slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for times := range 2 {
		sendAll(t, s, ids, slot)
		sentTimes(t, s, ids, times+1, slot)
		slot = slot.Add(time.Hour)
	}
}

// A table whose ids are not unique has its rows told as they are found by their ids: every row of an id, and no other is left out.
func TestRowsOfOneIdAreAllTold(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_twins")
	pool := s.db.(*postgres).pool
	ids := herd(t, s, 6000)
	execAll(t, s,
		"ALTER TABLE celery_beat_schedules DROP CONSTRAINT celery_beat_schedules_pkey",
		"ALTER TABLE celery_beat_schedules ALTER COLUMN id DROP NOT NULL",
	)
	twin := func(of []schedule.ID, as []schedule.ID) {
		t.Helper()
		for i, id := range as {
			if _, err := pool.Exec(t.Context(), "UPDATE celery_beat_schedules SET id = $1::text::uuid WHERE id::text = $2", string(of[i]), string(id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	twin(ids[200:250], ids[250:300])   // beside each other
	twin(ids[300:350], ids[5000:5050]) // far from each other
	if _, err := pool.Exec(t.Context(), "UPDATE celery_beat_schedules SET id = NULL WHERE id::text = $1", string(ids[400])); err != nil {
		t.Fatal(err)
	}
	gone := func(at int) bool { return at >= 250 && at < 300 || at == 400 }
	var some []schedule.ID
	for at, id := range ids[:3000] {
		if !gone(at) {
			some = append(some, id)
		}
	}
	some = slices.Insert(some, 1, ids[5500:5550]...) // which lie elsewhere
	tellTwice(t, s, some)
}

// Rows of one id are one entry, and keep nobody from reading the others.
func TestRowsOfOneIdAreReadAsOneEntry(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_twin_entries")
	if err := s.Fill(t.Context(), []Definition{{Name: "a", Task: "t", Spec: "@every 1s"}, {Name: "b", Task: "t", Spec: "@every 1s"}, {Name: "c", Task: "t", Spec: "@every 1s"}}); err != nil {
		t.Fatal(err)
	}
	execAll(t, s,
		"ALTER TABLE celery_beat_schedules DROP CONSTRAINT celery_beat_schedules_pkey",
		"UPDATE celery_beat_schedules SET id = (SELECT id FROM celery_beat_schedules WHERE name = 'a') WHERE name = 'b'",
	)
	loaded := map[schedule.ID]bool{}
	for _, id := range idsOf(t, s) {
		loaded[id] = true
	}
	if len(loaded) != 2 {
		t.Errorf("%d entries are loaded, want 2", len(loaded))
	}
	if doubled, err := s.Doubled(t.Context()); err != nil || doubled != 1 {
		t.Errorf("Doubled = %d, %v, want 1", doubled, err)
	}
	execAll(t, s,
		"ALTER TABLE celery_beat_schedules ALTER COLUMN id DROP NOT NULL",
		"UPDATE celery_beat_schedules SET id = NULL WHERE name = 'c'",
	)
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if none := row.ID == ""; none != (row.State == schedule.ReasonBadRow) {
			t.Errorf("the row %s of the id %q is %s: %s", row.Name, row.ID, row.State, row.Problem)
		}
	}
}

// What triggers of a user's make of rows that are told of their runs is not taken for what is still to be told.
func TestRowsThatATriggerWritesAgainAreCountedOnce(t *testing.T) {
	again := "UPDATE celery_beat_schedules SET description = coalesce(description, '') || 'x' WHERE id = new.id"
	for _, tt := range []struct{ name, when, body string }{
		{"before", "BEFORE UPDATE", "new.description := 'x'; RETURN new;"},
		{"after", "AFTER UPDATE", again + "; RETURN NULL;"},
		{"after, in a block of its own", "AFTER UPDATE", "BEGIN " + again + "; EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN NULL;"},
		{"after, at the commit", "CONSTRAINT AFTER UPDATE", again + "; RETURN NULL;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scratchedPostgres(t, "onebeat_again")
			ids := herd(t, s, 6000)
			kind, when, late := "TRIGGER", tt.when, ""
			if rest, ok := strings.CutPrefix(when, "CONSTRAINT "); ok {
				kind, when, late = "CONSTRAINT TRIGGER", rest, "DEFERRABLE INITIALLY DEFERRED"
			}
			execAll(t, s,
				"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+tt.body+" END $$",
				"CREATE "+kind+" again "+when+" ON celery_beat_schedules "+late+" FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION again()",
			)
			some := slices.Insert(slices.Clone(ids[:3000]), 1, ids[5500:5550]...) // which lie elsewhere
			tellTwice(t, s, some)
		})
	}
}

// PostgreSQL refuses to write rows in a part of a statement where their table has a rule.
func TestRowsOfATableWithARuleAreTold(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_ruled")
	ids := herd(t, s, 3000)
	execAll(t, s,
		"CREATE TABLE seen (id uuid)",
		"CREATE RULE seen AS ON UPDATE TO celery_beat_schedules DO ALSO INSERT INTO seen VALUES (new.id)",
	)
	slot := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	sendAll(t, s, ids, slot)
	sentTimes(t, s, ids, 1, slot)
}
