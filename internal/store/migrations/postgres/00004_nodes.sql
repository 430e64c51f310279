-- +goose Up

-- The nodes, of which those that were seen lately are there.
CREATE TABLE IF NOT EXISTS onebeat_nodes (
	name    text PRIMARY KEY,
	shards  integer NOT NULL, -- that it parts entries among
	fit boolean NOT NULL, -- to have shards: it reaches the broker and knows the catalog
	seen_at timestamptz NOT NULL -- by the database's clock
);
