-- What stands before a statement that reads entries where onebeat's own tables are not there yet: as if
-- they were empty.
-- In: nothing. Out: nothing of use; the last line gives way to the statement.
WITH onebeat_entries AS (
	SELECT CAST(NULL AS char) AS entry_id, CAST(NULL AS char) AS spec, NULL AS after_at, NULL AS last_slot, CAST(NULL AS SIGNED) AS total_run_count,
		NULL AS paused_at, NULL AS paused_until, CAST(NULL AS char) AS pause_reason, CAST(NULL AS char) AS paused_by FROM dual WHERE 1 = 0
), onebeat_meta AS (
	SELECT CAST(NULL AS char) AS `key`, CAST(NULL AS char) AS value FROM dual WHERE 1 = 0
), onebeat_calendars AS (
	SELECT CAST(NULL AS char) AS calendar, CAST(NULL AS char) AS day, CAST(NULL AS char) AS reason FROM dual WHERE 1 = 0
), onebeat_windows AS (
	SELECT CAST(NULL AS char) AS name, CAST(NULL AS char) AS scope, CAST(NULL AS char) AS target, CAST(NULL AS char) AS spec, CAST(NULL AS char) AS zone, CAST(NULL AS SIGNED) AS seconds,
		CAST(NULL AS char) AS reason, CAST(NULL AS char) AS made_by FROM dual WHERE 1 = 0
)
SELECT 1
