-- +goose Up

-- With it the term is a key of the row, and who keeps a lease as it is needs no more than FOR KEY SHARE: that keeps
-- others from taking it, who change the term, and lets claims and renewals go on, which do not.
CREATE UNIQUE INDEX IF NOT EXISTS onebeat_leases_term ON onebeat_leases (shard, term);
