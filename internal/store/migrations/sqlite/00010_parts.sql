-- +goose Up

-- The ledger has parts, each of some ten thousand runs that were recorded one after the other, and
-- its index goes by part first: what is recorded together is written in few places of it,
-- however large the ledger is. With the entry first each run was a page of its own.
ALTER TABLE onebeat_runs ADD COLUMN part INTEGER NOT NULL DEFAULT 0;

-- The runs of part 0 were recorded by an older onebeat.
CREATE TABLE IF NOT EXISTS onebeat_parts (
	part       INTEGER PRIMARY KEY,
	runs       INTEGER NOT NULL, -- how many were recorded in it
	first_slot INTEGER NOT NULL,
	last_slot  INTEGER NOT NULL  -- also of a range
);
INSERT OR IGNORE INTO onebeat_parts VALUES (0, 9223372036854775807, -9223372036854775808, 9223372036854775807);

DROP INDEX IF EXISTS onebeat_runs_entry_slot;
CREATE INDEX IF NOT EXISTS onebeat_runs_part ON onebeat_runs (part, entry_id, slot);
