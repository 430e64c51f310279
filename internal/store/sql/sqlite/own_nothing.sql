-- What stands before a statement that reads entries where onebeat's own tables are not there yet: as if
-- they were empty.
-- In: nothing. Out: nothing of use; the last line gives way to the statement.
WITH onebeat_entries AS (
	SELECT CAST(NULL AS TEXT) AS entry_id, CAST(NULL AS TEXT) AS spec, NULL AS after_at, NULL AS last_slot, CAST(NULL AS INTEGER) AS total_run_count,
		NULL AS paused_at, NULL AS paused_until, CAST(NULL AS TEXT) AS pause_reason, CAST(NULL AS TEXT) AS paused_by WHERE 1 = 0
), onebeat_meta AS (
	SELECT CAST(NULL AS TEXT) AS "key", CAST(NULL AS TEXT) AS value WHERE 1 = 0
), onebeat_calendars AS (
	SELECT CAST(NULL AS TEXT) AS calendar, CAST(NULL AS TEXT) AS day, CAST(NULL AS TEXT) AS reason WHERE 1 = 0
), onebeat_windows AS (
	SELECT CAST(NULL AS TEXT) AS name, CAST(NULL AS TEXT) AS scope, CAST(NULL AS TEXT) AS target, CAST(NULL AS TEXT) AS spec, CAST(NULL AS TEXT) AS zone, CAST(NULL AS INTEGER) AS seconds,
		CAST(NULL AS TEXT) AS reason, CAST(NULL AS TEXT) AS made_by WHERE 1 = 0
)
SELECT 1
