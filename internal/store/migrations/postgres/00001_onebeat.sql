-- +goose Up

-- What is there stays, so that the printed SQL may have been run by hand.

-- Facts of the installation: installation (a UUID), first_start (RFC 3339).
CREATE TABLE IF NOT EXISTS onebeat_meta (
	key   text PRIMARY KEY,
	value text NOT NULL
);

-- Who plans and dispatches a shard. The term and the sequence only rise.
CREATE TABLE IF NOT EXISTS onebeat_leases (
	shard      integer PRIMARY KEY,
	owner      text NOT NULL,
	term       bigint NOT NULL,
	seq        bigint NOT NULL,
	guarded    boolean NOT NULL, -- the owner also holds the lock that dies with its session
	expires_at timestamptz NOT NULL
);

-- Batches that were claimed and are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_journal (
	shard      integer NOT NULL,
	seq        bigint NOT NULL,
	term       bigint NOT NULL,
	claimed_at timestamptz NOT NULL,
	dues       text NOT NULL,
	PRIMARY KEY (shard, seq)
);

-- What onebeat remembers of an entry beside its row.
CREATE TABLE IF NOT EXISTS onebeat_entries (
	entry_id        text PRIMARY KEY,
	spec            text NOT NULL,        -- digest; empty while there is nothing to plan
	after_at        timestamptz NOT NULL, -- slots count after this
	last_slot       timestamptz,
	total_run_count bigint NOT NULL DEFAULT 0,
	paused_at       timestamptz,
	paused_until    timestamptz,
	pause_reason    text NOT NULL DEFAULT '',
	paused_by       text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

-- The ledger: an ended slot, or a range of slots that ended alike.
CREATE TABLE IF NOT EXISTS onebeat_runs (
	entry_id  text NOT NULL,
	name      text NOT NULL,
	task      text NOT NULL,
	slot      timestamptz NOT NULL,
	through   timestamptz,
	count     bigint NOT NULL,
	state     text NOT NULL,
	reason    text NOT NULL,
	task_id   text NOT NULL,
	queue     text NOT NULL,
	request   text NOT NULL,
	node      text NOT NULL,
	term      bigint NOT NULL,
	sent_at   timestamptz,
	recovered boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS onebeat_runs_entry_slot ON onebeat_runs (entry_id, slot);
CREATE INDEX IF NOT EXISTS onebeat_runs_slot ON onebeat_runs USING brin (slot);

-- Hints that an entry changed; without entry_id, that any may have.
CREATE TABLE IF NOT EXISTS onebeat_changes (
	seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
	entry_id text,
	at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS onebeat_changes_xid ON onebeat_changes (xid);

-- Runs that a person asked for and that are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_requests (
	id       text PRIMARY KEY,
	entry_id text NOT NULL,
	asked_at timestamptz NOT NULL,
	asked_by text NOT NULL
);
