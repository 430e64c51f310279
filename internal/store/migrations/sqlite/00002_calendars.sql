-- +goose Up

-- Days off that the rules of entries name by their calendar.
CREATE TABLE IF NOT EXISTS onebeat_calendars (
	calendar TEXT NOT NULL,
	day      TEXT NOT NULL, -- 2026-12-25
	reason   TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (calendar, day)
) WITHOUT ROWID;

-- Times in which slots are skipped: from each slot of the spec on, for so many seconds.
CREATE TABLE IF NOT EXISTS onebeat_windows (
	name    TEXT PRIMARY KEY,
	scope   TEXT NOT NULL, -- all, group or entry
	target  TEXT NOT NULL DEFAULT '', -- the group's name, or the entry's id
	spec    TEXT NOT NULL,
	zone    TEXT NOT NULL DEFAULT '', -- of the spec, unless it names one; empty is the zone of the settings
	seconds INTEGER NOT NULL,
	reason  TEXT NOT NULL,
	made_by TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
