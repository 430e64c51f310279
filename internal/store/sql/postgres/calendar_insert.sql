-- Adds days off.
-- In, for each day: calendar, day, reason. Out: nothing.
INSERT INTO onebeat_calendars (calendar, day, reason)
SELECT * FROM unnest($1::text[], $2::text[]::date[], $3::text[])
