-- The entries whose rows were written by transactions that a snapshot did not see, and perhaps
-- some more; see entries, of which what is not asked for is not read. The age compares ids of 32
-- bits that wrap.
-- In: a snapshot. Out: id.
SELECT id FROM ({{entries}}) AS entries
WHERE age <= age(pg_snapshot_xmin($1::text::pg_snapshot)::xid)
