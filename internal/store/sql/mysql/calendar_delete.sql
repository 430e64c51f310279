-- Removes a calendar's days.
-- In: calendar. Out: as many rows changed.
DELETE FROM onebeat_calendars WHERE calendar = ?1
