-- The days off of all calendars.
-- In: nothing. Out: calendar, day as 2026-12-25, reason.
SELECT calendar, CAST(day AS char), reason FROM onebeat_calendars ORDER BY calendar, day
