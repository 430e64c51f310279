-- +goose Up

-- What is there stays, so that the printed SQL may have been run by hand.

-- Instants are whole microseconds since 1970-01-01T00:00:00Z in all onebeat_ tables.

-- Facts of the installation: installation (a UUID), first_start (RFC 3339).
CREATE TABLE IF NOT EXISTS onebeat_meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- Who plans and dispatches a shard. The term and the sequence only rise.
CREATE TABLE IF NOT EXISTS onebeat_leases (
	shard      INTEGER PRIMARY KEY,
	owner      TEXT NOT NULL,
	term       INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	guarded    INTEGER NOT NULL, -- the owner also holds the lock that dies with its process
	expires_at INTEGER NOT NULL
);

-- Batches that were claimed and are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_journal (
	shard      INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	term       INTEGER NOT NULL,
	claimed_at INTEGER NOT NULL,
	dues       TEXT NOT NULL,
	PRIMARY KEY (shard, seq)
);

-- What onebeat remembers of an entry beside its row.
CREATE TABLE IF NOT EXISTS onebeat_entries (
	entry_id        TEXT PRIMARY KEY,
	spec            TEXT NOT NULL,    -- digest; empty while there is nothing to plan
	after_at        INTEGER NOT NULL, -- slots count after this
	last_slot       INTEGER,
	total_run_count INTEGER NOT NULL DEFAULT 0,
	paused_at       INTEGER,
	paused_until    INTEGER,
	pause_reason    TEXT NOT NULL DEFAULT '',
	paused_by       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- The ledger: an ended slot, or a range of slots that ended alike.
CREATE TABLE IF NOT EXISTS onebeat_runs (
	entry_id  TEXT NOT NULL,
	name      TEXT NOT NULL,
	task      TEXT NOT NULL,
	slot      INTEGER NOT NULL,
	through   INTEGER,
	count     INTEGER NOT NULL,
	state     TEXT NOT NULL,
	reason    TEXT NOT NULL,
	task_id   TEXT NOT NULL,
	queue     TEXT NOT NULL,
	request   TEXT NOT NULL,
	node      TEXT NOT NULL,
	term      INTEGER NOT NULL,
	sent_at   INTEGER,
	recovered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS onebeat_runs_entry_slot ON onebeat_runs (entry_id, slot);

-- Hints that an entry changed; without entry_id, that any may have.
CREATE TABLE IF NOT EXISTS onebeat_changes (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	entry_id TEXT,
	-- Triggers write this column in other programs, whose SQLite may be older than
	-- unixepoch('subsec'), 3.42.
	at       INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))
);

-- Runs that a person asked for and that are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_requests (
	id       TEXT PRIMARY KEY,
	entry_id TEXT NOT NULL,
	asked_at INTEGER NOT NULL,
	asked_by TEXT NOT NULL
);
