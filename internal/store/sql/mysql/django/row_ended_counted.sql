-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent. A
-- one-off row whose slot was sent is done, as Celery's own beat leaves it: disabled, without a last run or a count. What was
-- asked for is not counted there, for a count says that it is done.
-- In, for each entry: id, slot as its column has it (null: leave it), sent slots, seconds that the columns are ahead of UTC. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$[0]', slot bigint PATH '$[1]', sends bigint PATH '$[2]', ahead bigint PATH '$[3]')) AS ended
STRAIGHT_JOIN django_celery_beat_periodictask AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
SET s.enabled = s.enabled AND NOT (s.one_off AND ended.slot IS NOT NULL),
	s.last_run_at = CASE WHEN s.one_off AND ended.slot IS NOT NULL THEN NULL WHEN ended.slot IS NULL THEN s.last_run_at
		ELSE greatest(coalesce(s.last_run_at, timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')), timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')) END,
	s.total_run_count = CASE WHEN NOT s.one_off THEN s.total_run_count + ended.sends WHEN ended.slot IS NULL THEN s.total_run_count ELSE 0 END,
	s.date_changed = CASE WHEN ended.slot IS NULL THEN s.date_changed ELSE timestampadd(SECOND, ended.ahead, utc_timestamp(6)) END
WHERE ended.slot IS NOT NULL OR ended.sends > 0
