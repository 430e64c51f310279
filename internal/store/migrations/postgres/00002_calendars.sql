-- +goose Up

-- Days off that the rules of entries name by their calendar.
CREATE TABLE IF NOT EXISTS onebeat_calendars (
	calendar text NOT NULL,
	day      date NOT NULL,
	reason   text NOT NULL DEFAULT '',
	PRIMARY KEY (calendar, day)
);

-- Times in which slots are skipped: from each slot of the spec on, for so many seconds.
CREATE TABLE IF NOT EXISTS onebeat_windows (
	name    text PRIMARY KEY,
	scope   text NOT NULL, -- all, group or entry
	target  text NOT NULL DEFAULT '', -- the group's name, or the entry's id
	spec    text NOT NULL,
	zone    text NOT NULL DEFAULT '', -- of the spec, unless it names one; empty is the zone of the settings
	seconds bigint NOT NULL,
	reason  text NOT NULL,
	made_by text NOT NULL DEFAULT ''
);
