-- +goose Up

-- The nodes, of which those that were seen lately are there.
CREATE TABLE IF NOT EXISTS onebeat_nodes (
	name    TEXT PRIMARY KEY,
	shards  INTEGER NOT NULL, -- that it parts entries among
	reaches INTEGER NOT NULL, -- it reaches the broker
	seen_at INTEGER NOT NULL -- by the database's clock
) WITHOUT ROWID;
