-- How many rows were ever written, as the server's statistics have it. Before PostgreSQL 15 they are
-- kept in a file, which takes too long to ask: none.
-- In: nothing. Out: how many were inserted or deleted, and how many updated.
SELECT coalesce(sum(pg_stat_get_tuples_inserted(id) + pg_stat_get_tuples_deleted(id)), 0)::bigint, coalesce(sum(pg_stat_get_tuples_updated(id)), 0)::bigint
FROM (VALUES ('{{schema}}celery_periodictask'), ('{{schema}}celery_crontabschedule'), ('{{schema}}celery_intervalschedule'), ('{{schema}}celery_solarschedule'), ('{{schema}}celery_clockedschedule')) AS tables (name), LATERAL (SELECT to_regclass(name)::oid) AS found (id)
WHERE current_setting('server_version_num')::int >= 150000
