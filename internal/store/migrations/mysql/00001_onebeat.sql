-- +goose Up

-- What is there stays, so that the printed SQL may have been run by hand.

-- Instants are whole microseconds since 1970-01-01T00:00:00Z in all onebeat_ tables, but for
-- onebeat_changes.at. Texts compare byte by byte.

-- Facts of the installation: installation (a UUID), first_start (RFC 3339).
CREATE TABLE IF NOT EXISTS onebeat_meta (
	`key` varchar(64) PRIMARY KEY,
	value text NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who plans and dispatches a shard. The term and the sequence only rise.
CREATE TABLE IF NOT EXISTS onebeat_leases (
	shard      integer PRIMARY KEY,
	owner      varchar(255) NOT NULL,
	term       bigint NOT NULL,
	seq        bigint NOT NULL,
	guarded    boolean NOT NULL, -- the owner also holds the lock that dies with its session
	expires_at bigint NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Batches that were claimed and are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_journal (
	shard      integer NOT NULL,
	seq        bigint NOT NULL,
	term       bigint NOT NULL,
	claimed_at bigint NOT NULL,
	dues       longtext NOT NULL,
	PRIMARY KEY (shard, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What onebeat remembers of an entry beside its row.
CREATE TABLE IF NOT EXISTS onebeat_entries (
	entry_id        varchar(255) PRIMARY KEY,
	spec            varchar(255) NOT NULL, -- digest; empty while there is nothing to plan
	after_at        bigint NOT NULL,       -- slots count after this
	spec_at         bigint,                -- since when the spec counts
	last_slot       bigint,
	total_run_count bigint NOT NULL DEFAULT 0,
	paused_at       bigint,
	paused_until    bigint,
	pause_reason    text NOT NULL DEFAULT (''),
	paused_by       varchar(255) NOT NULL DEFAULT ''
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The ledger: an ended slot, or a range of slots that ended alike.
CREATE TABLE IF NOT EXISTS onebeat_runs (
	entry_id  varchar(255) NOT NULL,
	name      varchar(255) NOT NULL,
	task      varchar(255) NOT NULL,
	slot      bigint NOT NULL,
	through   bigint,
	count     bigint NOT NULL,
	state     varchar(20) NOT NULL,
	reason    text NOT NULL,
	task_id   varchar(255) NOT NULL,
	queue     varchar(255) NOT NULL,
	request   varchar(64) NOT NULL,
	node      varchar(255) NOT NULL,
	term      bigint NOT NULL,
	sent_at   bigint,
	recovered boolean NOT NULL,
	id        bigint AUTO_INCREMENT PRIMARY KEY, -- in the order of recording
	KEY onebeat_runs_entry_slot (entry_id, slot)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Hints that an entry changed; without entry_id, that any may have.
CREATE TABLE IF NOT EXISTS onebeat_changes (
	seq      bigint AUTO_INCREMENT PRIMARY KEY,
	entry_id varchar(255),
	at       datetime(6) NOT NULL DEFAULT (utc_timestamp(6))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Runs that a person asked for and that are not recorded yet.
CREATE TABLE IF NOT EXISTS onebeat_requests (
	id       varchar(64) PRIMARY KEY,
	entry_id varchar(255) NOT NULL,
	asked_at bigint NOT NULL,
	asked_by varchar(255) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
