-- Tells the rows of entries their last sent slot, never backwards, and counts what was sent.
-- In, for each entry: id, slot (null: leave it), sent slots. Out: nothing.
UPDATE celery_beat_schedules AS s
SET last_run_at = greatest(s.last_run_at, ended.slot), total_run_count = coalesce(s.total_run_count, 0) + ended.count
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS ended (id, slot, count)
WHERE s.id = ended.id::{{id_type}}
