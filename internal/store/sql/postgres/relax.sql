-- Lets this transaction's commit return before it is on disk, if it may. Lets it wait only
-- shortly for rows that another program holds, and tells the triggers that what it writes is run state.
-- Plans are those for a few entries: with the number of a batch in sight, PostgreSQL would
-- rather read all of a table of 100,000 rows than look 1,000 of them up.
-- Rows that are written pass through memory for the triggers' sake, whether these do anything or not: there is room for
-- those of thousands, which would go through a file else.
-- In: whether it may. Out: nothing that matters.
SELECT set_config('synchronous_commit', CASE WHEN $1::boolean THEN 'off' ELSE current_setting('synchronous_commit') END, true),
	set_config('lock_timeout', '200ms', true),
	set_config('work_mem', (greatest(pg_size_bytes(current_setting('work_mem')), 32 << 20) >> 10)::text, true),
	set_config('onebeat.recording', 'on', true), set_config('plan_cache_mode', 'force_generic_plan', true)
