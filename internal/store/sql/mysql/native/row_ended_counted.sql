-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (id {{id_type}} PATH '$[0]', slot bigint PATH '$[1]', sends bigint PATH '$[2]')) AS ended
STRAIGHT_JOIN celery_beat_schedules AS s FORCE INDEX (PRIMARY) ON s.id = ended.id
SET s.last_run_at = CASE WHEN ended.slot IS NULL THEN s.last_run_at
		ELSE greatest(coalesce(s.last_run_at, timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')), timestampadd(MICROSECOND, ended.slot, timestamp '1970-01-01 00:00:00')) END,
	s.total_run_count = coalesce(s.total_run_count, 0) + ended.sends
