-- +goose Up

-- The ledger's index compares ids, byte by byte: where the database's own order is a language's (en_US.utf8, as in the
-- image of PostgreSQL for Docker), to compare two of them took longer than all else that a run costs the index.
ALTER TABLE onebeat_runs ALTER COLUMN entry_id TYPE text COLLATE "C";
