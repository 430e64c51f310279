-- +goose Up

-- The nodes, of which those that were seen lately are there.
CREATE TABLE IF NOT EXISTS onebeat_nodes (
	name    TEXT PRIMARY KEY,
	shards  INTEGER NOT NULL, -- that it parts entries among
	fit INTEGER NOT NULL, -- to have shards: it reaches the broker and knows the catalog
	seen_at INTEGER NOT NULL -- by the database's clock
) WITHOUT ROWID;
