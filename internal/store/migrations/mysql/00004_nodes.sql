-- +goose Up

-- The nodes, of which those that were seen lately are there.
CREATE TABLE IF NOT EXISTS onebeat_nodes (
	name    varchar(255) PRIMARY KEY,
	shards  int NOT NULL, -- that it parts entries among
	fit boolean NOT NULL, -- to have shards: it reaches the broker and knows the catalog
	seen_at bigint NOT NULL -- by the database's clock
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
