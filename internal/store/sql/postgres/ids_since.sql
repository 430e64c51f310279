-- The entries whose rows were written by transactions that a snapshot did not see, and perhaps
-- some more, in one look at all rows; see entries, of which what is not asked for is not read. The age
-- compares ids of 32 bits that wrap. What it is compared with is a query of its own, which is
-- asked once and not for each row.
-- In: a snapshot. Out: how many rows there are, and the ids.
SELECT count(*), coalesce(array_agg(id::text) FILTER (WHERE age <= (SELECT age(pg_snapshot_xmin($1::text::pg_snapshot)::xid))), '{}')
FROM ({{entries}}) AS entries
