// Package storetest is the suite that each kind of store passes.
package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A Database is an empty database of its own for one test, and how another
// program uses it.
type Database struct {
	URL      string
	Postgres bool
	MySQL    bool

	// Exec runs plain SQL as another program would, on a connection of its own.
	Exec func(t testing.TB, sql string, args ...any)

	// Query returns the first column of each row as text.
	Query func(t testing.TB, sql string, args ...any) []string

	// Begin opens a transaction: exec runs in it, and commit ends it.
	Begin func(t testing.TB) (exec func(sql string), commit func())
}

// Run runs the suite. Each call of fresh makes a new database.
func Run(t *testing.T, fresh func(testing.TB) Database) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"a claim is in the journal until its record", testClaimAndRecord},
		{"a row that refuses what is written of it keeps no other from being recorded", testRecordARowThatRefuses},
		{"a row that another needs at the commit stays, and keeps nothing from being recorded", testRecordARowThatIsNeeded},
		{"a claim repeated after an error is one claim", testClaimAgain},
		{"a record repeated after an error is one record", testRecordAgain},
		{"a record of which the journal lost a part is refused", testRecordOfWhatIsGone},
		{"a term that is over claims and records nothing", testFencing},
		{"claims that race with a take-over never both succeed", testFencingRace},
		{"a run on request is counted but is no slot", testRequestIsNoSlot},
		{"slots that ended unsent are not owed again", testUnsentSlots},
		{"a row held by another program holds up nothing", testHeldRow},
		{"a part is recorded with what stands beside it, once", testRecordWith},
		{"a record and what stands beside it are both there or neither", testRecordWithAllOrNothing},
		{"a row held by another program holds up nothing beside a record", testRecordWithAHeldRow},
		{"a row held by another program, or gone, does not keep others from their end", testRecordWithAHeldRowThatEnds},
		{"a rehearsal leaves nothing", testRehearse},
		{"runs are found by entry, state and slot", testRuns},
		{"runs that say odd things are recorded", testOddRuns},
		{"a ledger of exceptions has no rows of sent slots", testExceptions},
		{"old days of the ledger go", testOldDays},
		{"an audit names what is wrong in the ledger", testAudit},
		{"an audit says what it cannot judge", testAuditOfWhatChanged},
		{"an audit looks at each entry once", testSubjects},

		{"of nodes that race one has the lease", testLeaseRace},
		{"a released lease is free at once", testLeaseRelease},
		{"a holder with a guard may acquire its lease anew", testLeaseAnew},
		{"a term may be checked while it is renewed", testLeaseChecks},
		{"a dead holder's lease is free at once", testLeaseDeath},
		{"a frozen holder's lease ends", testLeaseExpiry},
		{"a holder without a guard gets it later", testLeaseGuard},

		{"bad rows are told of and disturb no other", testBadRows},
		{"the first start owes nothing", testFirstStart},
		{"the first start owes what is asked for", testCatchUp},
		{"an edited spec counts from the edit", testSpecEdit},
		{"an enabled entry counts from then", testEnable("")},
		{"an enabled entry counts from then with run state beside the table", testEnable(store.HomeTable)},
		{"rules stand around the spec", testRules},
		{"calendars of days off stand in rules", testCalendars},
		{"calendars that another program edits are seen", testCalendarsByHand},
		{"an older onebeat's tables get what came since", testOlderOwn},
		{"an audit knows calendars", testAuditOfCalendars},
		{"a last run ends its entry", testLimits},
		{"a last run is recorded though its row stays", testLimitOfAHeldRow},
		{"windows are told of to whom they concern", testWindows},
		{"who comes to lead knows what was asked for", testStandbyKnowsRunsAskedFor},
		{"a time inserted when it had passed is due", testOneOff},
		{"a load after runs knows them", testLoad},

		{"changes are seen with triggers", func(t *testing.T, db Database) { testChanges(t, db, shapeNamed("full"), 100*time.Millisecond) }},
		{"changes are seen without triggers", func(t *testing.T, db Database) { testChanges(t, db, shapeNamed("D"), 2*time.Second) }},
		{"a poke is enough without triggers", testPoke},
		{"columns that are added meanwhile count", testNewColumns},
		{"changes that commit out of order are seen", testCommitOrder},
		{"a change without a notice is seen", testLostNotice},
		{"a hundred thousand rows at once are seen", testBulk},
		{"own records are no changes", testOwnRecords},
		{"an emptied table is seen", testEmptied},
		{"a watcher goes on after its connections died", testReconnect},
		{"requests are told of", testRequests},
		{"an old term remembers nothing", testAnOldTermRemembersNothing},
		{"a node that stands by writes nothing", testStandbyWritesNothing},
		{"every node knows the rows that are set aside", testAside},
		{"a node that stood by knows what another did", func(t *testing.T, db Database) { testStandbyKnowsWhatAnotherDid(t, db, 0) }},
		{"a node that stood by knows what another did, and it holds hardly a definition", func(t *testing.T, db Database) { testStandbyKnowsWhatAnotherDid(t, db, 1) }},
		{"a node that keeps run state in memory begins anew after another", testStandbyWithRunStateInMemory},
		{"a node that stood by looks for edits where no trigger tells of them", testStandbyLooksForEdits},
		{"a node leads again and again", func(t *testing.T, db Database) { testStandbyLeadsAgain(t, db, 0) }},
		{"a node leads again and again, and it holds hardly a definition", func(t *testing.T, db Database) { testStandbyLeadsAgain(t, db, 1) }},
		{"definitions are read again as they were told of", testDefinitions},
		{"entries that are to come first do", testFirst},
		{"a definition beyond what is held is left", testLeft},
		{"of many more than are held none is that is not due soon", testLarge},
		{"entries that are due often come first", testSoonest},
		{"a node takes over in the midst of a herd", testTakeOverInAHerd("")},
		{"a node takes over in the midst of a herd with run state beside the table", testTakeOverInAHerd(store.HomeTable)},
		{"a node takes over in the midst of a herd with run state in memory", testTakeOverInAHerd(store.HomeMemory)},
		{"shards have entries of their own", testShards},
		{"shards have entries of their own at the first start", testShardsAtTheFirstStart},
		{"pauses hold and end", testPauses},

		{"nodes see each other", testNodesSeeEachOther},
		{"nodes of one name are told apart", testNodesOfOneName},
		{"shards of a dead node are orphans", testOrphanedShards},
		{"the lock of a holder that lives goes back to it", testLockOfALivingHolder},
		{"another number of shards counts once nothing is left", testAnotherNumberOfShards},
		{"who asks while another number of shards is written gets nothing", testAnotherNumberOfShardsRaces},

		{"entries of a source stand beside those of the table", testOutside},
		{"entries of a source need no table", testOutsideAlone},
		{"entries are taken over and handed back", testHandOver},
		{"what onebeat ran is not taken over", testTakeOverLate},

		{"entries are added, edited, found and removed", testEntries},
		{"entries can be looked at where onebeat never ran", testBare},
		{"what can't be planned is not stored", testBadInput},
		{"definitions are applied all or none", testApply},
		{"migrate adds what is missing and no more", testMigrate},
		{"migrates by hand", testMigrateByHand},
		{"policies that nobody heeds are counted", testUnheeded},
		{"several migrate at once", testMigrateTogether},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, fresh(t)) })
	}
	for _, shape := range shapes {
		for _, home := range []string{"", store.HomeColumn, store.HomeTable, store.HomeMemory} {
			if home == store.HomeColumn && !shape.lastRunAt {
				continue
			}
			t.Run("shape "+shape.name+" with last_run_at in "+orDefault(home), func(t *testing.T) { testShape(t, fresh(t), shape, home) })
		}
	}
}

func orDefault(home string) string {
	if home == "" {
		return "its default home"
	}
	return home
}

// open opens the store and makes onebeat's own tables.
func open(t testing.TB, db Database, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), db.URL, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// acquire takes the lease, which must be free.
func acquire(t testing.TB, s *store.Store) schedule.Lease {
	t.Helper()
	lease, won, err := s.Shard(0).Acquire(t.Context(), t.Name())
	if err != nil || !won {
		t.Fatalf("Acquire = %+v, %v, %v; want the lease", lease, won, err)
	}
	return lease
}

// load returns all entries as Load tells of them.
func load(t testing.TB, s *store.Store) map[schedule.ID]schedule.Change {
	t.Helper()
	all := map[schedule.ID]schedule.Change{}
	err := s.Load(t.Context(), func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			all[change.ID] = change
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// entry returns the entry of the id, which must have one.
func entry(t testing.TB, s *store.Store, id schedule.ID) *schedule.Entry {
	t.Helper()
	change, ok := load(t, s)[id]
	if !ok || change.Entry == nil {
		t.Fatalf("entry %s = %+v, want one to plan", id, change)
	}
	return change.Entry
}

// bound is how long a test waits for what must come.
const bound = time.Minute

// A watching leads beside a test, and keeps all that it was told of.
type watching struct {
	t    testing.TB
	news chan struct{}
	stop func() // leading

	mu    sync.Mutex
	heard []func() // what it was told of and has not taken in

	// Of the test's goroutine, as of when it last waited or asked:
	loaded  bool
	log     []schedule.Change
	now     map[schedule.ID]schedule.Change
	largest int // changes in one call
	asked   []store.Request
}

// watch leads on a roster of its own until the test ends, and returns once it has loaded.
func watch(t testing.TB, s *store.Store) *watching {
	t.Helper()
	roster := s.Roster()
	w := lead(t, roster, 0)
	keep(t, "Run", roster.Run)
	w.await("the first load", func() bool { return w.loaded })
	return w
}

// lead leads on the roster until the test ends, or what it returns is stopped.
func lead(t testing.TB, roster *store.Roster, shard int, first ...schedule.ID) *watching {
	t.Helper()
	w := &watching{t: t, news: make(chan struct{}, 1), now: map[schedule.ID]schedule.Change{}}
	w.stop = keep(t, "Lead", func(ctx context.Context) error { return roster.Lead(ctx, shard, first, w) })
	return w
}

// keep runs what runs until its context ends, until the test ends or stop is called.
func keep(t testing.TB, name string, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(bound):
			t.Errorf("%s goes on after its context ended", name)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w *watching) Apply(_ context.Context, changes []schedule.Change) error {
	changes = slices.Clone(changes)
	for _, change := range changes {
		for i := range change.Sketches {
			e := change.Sketches[i].Entry()
			changes = append(changes, schedule.Change{ID: e.ID, Entry: e})
		}
	}
	changes = slices.DeleteFunc(changes, func(change schedule.Change) bool { return change.Sketches != nil })
	w.tell(func() {
		w.log = append(w.log, changes...)
		w.largest = max(w.largest, len(changes))
		for _, change := range changes {
			w.now[change.ID] = change
		}
	})
	return nil
}

func (w *watching) Loaded() { w.tell(func() { w.loaded = true }) }

func (w *watching) Asked(_ context.Context, requests []store.Request) error {
	w.tell(func() { w.asked = append(w.asked, requests...) })
	return nil
}

func (w *watching) tell(news func()) {
	w.mu.Lock()
	w.heard = append(w.heard, news)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// take takes in what it was told of.
func (w *watching) take() {
	w.mu.Lock()
	heard := w.heard
	w.heard = nil
	w.mu.Unlock()
	for _, news := range heard {
		news()
	}
}

// await returns how long it took until what was wanted was told of.
func (w *watching) await(what string, there func() bool) time.Duration {
	w.t.Helper()
	started, over := time.Now(), time.After(bound)
	for {
		if w.take(); there() {
			return time.Since(started)
		}
		select {
		case <-w.news:
		case <-over:
			w.t.Fatalf("%s did not come in %v; of %d news the last were %+v", what, bound, len(w.log), w.log[max(0, len(w.log)-5):])
		}
	}
}

// told returns the news since the count of news that was passed.
func (w *watching) told(since int) []schedule.Change {
	w.take()
	return slices.Clone(w.log[since:])
}

// lost fails the test unless the error is schedule.ErrLost.
func lost(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, schedule.ErrLost) {
		t.Errorf("%s = %v, want ErrLost", what, err)
	}
}

// at is an instant of the tests' day, in UTC.
func at(hour, minute int) time.Time { return time.Date(2030, 1, 1, hour, minute, 0, 0, time.UTC) }
