-- How many rows are enabled and have an execution_policy that is to keep runs from overlapping.
-- In: nothing. Out: the count.
SELECT count(*) FROM celery_beat_schedules AS s WHERE s.enabled AND lower({{execution_policy}}) IN ('skip', 'queue')
