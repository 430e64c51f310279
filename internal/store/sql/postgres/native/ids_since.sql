-- The entries whose rows were written by transactions that a snapshot did not see, and perhaps
-- some more, in one look at all rows. The age compares ids of 32 bits that wrap. What it is compared
-- with is a query of its own, which is asked once and not for each row.
-- In: a snapshot. Out: how many rows there are, and where each of those lies, in parentheses, with its id.
SELECT count(*), coalesce(array_agg(s.ctid::text || s.id::text) FILTER (WHERE age(s.xmin) <= (SELECT age(pg_snapshot_xmin($1::text::pg_snapshot)::xid))), '{}')
FROM celery_beat_schedules AS s
