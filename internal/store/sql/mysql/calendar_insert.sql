-- Adds days off.
-- In, for each day: calendar, day, reason. Out: nothing.
INSERT INTO onebeat_calendars (calendar, day, reason)
SELECT added.calendar, added.day, added.reason
FROM JSON_TABLE(?1, '$[*]' COLUMNS (calendar varchar(190) PATH '$[0]', day date PATH '$[1]', reason varchar(1000) PATH '$[2]')) AS added
