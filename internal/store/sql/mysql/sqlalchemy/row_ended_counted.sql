-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as the package's beat leaves it: disabled, without a count. What was asked for
-- is not counted there, for a count says that it is done.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$[0]', slot bigint PATH '$[1]', sends bigint PATH '$[2]')) AS ended
STRAIGHT_JOIN celery_periodictask AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
SET s.enabled = s.enabled AND NOT (coalesce(s.one_off, false) AND ended.slot IS NOT NULL),
	s.last_run_at = CASE WHEN ended.slot IS NULL THEN s.last_run_at
		ELSE greatest(coalesce(s.last_run_at, timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')), timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')) END,
	s.total_run_count = CASE WHEN NOT coalesce(s.one_off, false) THEN s.total_run_count + ended.sends WHEN ended.slot IS NULL THEN s.total_run_count ELSE 0 END,
	s.date_changed = CASE WHEN ended.slot IS NULL THEN s.date_changed ELSE utc_timestamp(6) END
WHERE ended.slot IS NOT NULL OR ended.sends > 0
