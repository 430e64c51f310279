-- What stands before a statement that reads entries where onebeat's own tables are not there yet: as if
-- they were empty.
-- In: nothing. Out: nothing of use; the last line gives way to the statement.
WITH onebeat_entries AS (
	SELECT CAST(NULL AS text) AS entry_id, CAST(NULL AS text) AS spec, CAST(NULL AS timestamptz) AS after_at, CAST(NULL AS timestamptz) AS last_slot, CAST(NULL AS bigint) AS total_run_count,
		CAST(NULL AS timestamptz) AS paused_at, CAST(NULL AS timestamptz) AS paused_until, CAST(NULL AS text) AS pause_reason, CAST(NULL AS text) AS paused_by WHERE 1 = 0
), onebeat_meta AS (
	SELECT CAST(NULL AS text) AS "key", CAST(NULL AS text) AS value WHERE 1 = 0
), onebeat_calendars AS (
	SELECT CAST(NULL AS text) AS calendar, CAST(NULL AS text) AS day, CAST(NULL AS text) AS reason WHERE 1 = 0
), onebeat_windows AS (
	SELECT CAST(NULL AS text) AS name, CAST(NULL AS text) AS scope, CAST(NULL AS text) AS target, CAST(NULL AS text) AS spec, CAST(NULL AS text) AS zone, CAST(NULL AS bigint) AS seconds,
		CAST(NULL AS text) AS reason, CAST(NULL AS text) AS made_by WHERE 1 = 0
)
SELECT 1
