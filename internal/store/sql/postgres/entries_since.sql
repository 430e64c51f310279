-- The rows of the catalog that were written by transactions that a snapshot did not see,
-- and perhaps some more; see entries. The age compares ids of 32 bits that wrap.
-- In: a snapshot. Out: as entries.
SELECT * FROM ({{entries}}) AS entries
WHERE age <= age(pg_snapshot_xmin($1::text::pg_snapshot)::xid)
