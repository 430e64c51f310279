-- +goose Up

-- The ledger has parts, each of a quarter of a million runs that were recorded one after the other, and
-- its index goes by part first: what is recorded together is written in few places of it,
-- however large the ledger is. With the entry first each run was a page of its own.
ALTER TABLE onebeat_runs ADD COLUMN part bigint NOT NULL DEFAULT 0;

-- The runs of part 0 were recorded by an older onebeat.
CREATE TABLE IF NOT EXISTS onebeat_parts (
	part       bigint PRIMARY KEY,
	runs       bigint NOT NULL, -- how many were recorded in it, once it has ended
	first_slot bigint NOT NULL, -- or before
	last_slot  bigint NOT NULL  -- or after; also of a range
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO onebeat_parts VALUES (0, 0, -9223372036854775808, 9223372036854775807);

CREATE INDEX onebeat_runs_part ON onebeat_runs (part, entry_id, slot);
DROP INDEX onebeat_runs_entry_slot ON onebeat_runs;
