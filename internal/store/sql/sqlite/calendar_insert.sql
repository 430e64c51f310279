-- Adds days off.
-- In, for each day: calendar, day, reason. Out: nothing.
INSERT INTO onebeat_calendars (calendar, day, reason) VALUES (?1, ?2, ?3)
