-- +goose Up

-- The ledger has parts, each of a quarter of a million runs that were recorded one after the other, and
-- its index goes by part first: what is recorded together is written in few places of it,
-- however large the ledger is. With the entry first each run was a page of its own.

-- The runs of part 0 were recorded by an older onebeat.
CREATE TABLE IF NOT EXISTS onebeat_parts (
	part       bigint PRIMARY KEY,
	runs       bigint NOT NULL, -- how many were recorded in it, once it has ended
	first_slot bigint NOT NULL, -- or before
	last_slot  bigint NOT NULL  -- or after; also of a range
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO onebeat_parts VALUES (0, 0, -9223372036854775808, 9223372036854775807);

-- The server takes none of this back where it is broken off, and goes on with it where only the client was: what is
-- there already is left as it is.
SET @onebeat_change = (SELECT if(count(*) > 0, 'DO 0', 'ALTER TABLE onebeat_runs ADD COLUMN part bigint NOT NULL DEFAULT 0')
	FROM information_schema.columns WHERE table_schema = database() AND table_name = 'onebeat_runs' AND column_name = 'part');
PREPARE onebeat_change FROM @onebeat_change;
EXECUTE onebeat_change;
SET @onebeat_change = (SELECT if(count(*) > 0, 'DO 0', 'ALTER TABLE onebeat_runs ADD INDEX onebeat_runs_part (part, entry_id, slot), DROP INDEX onebeat_runs_entry_slot')
	FROM information_schema.statistics WHERE table_schema = database() AND table_name = 'onebeat_runs' AND index_name = 'onebeat_runs_part');
PREPARE onebeat_change FROM @onebeat_change;
EXECUTE onebeat_change;
DEALLOCATE PREPARE onebeat_change;
