-- +goose Up

-- Days off that the rules of entries name by their calendar.
CREATE TABLE IF NOT EXISTS onebeat_calendars (
	calendar varchar(190) NOT NULL,
	day      date NOT NULL,
	reason   varchar(1000) NOT NULL DEFAULT '',
	PRIMARY KEY (calendar, day)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Times in which slots are skipped: from each slot of the spec on, for so many seconds.
CREATE TABLE IF NOT EXISTS onebeat_windows (
	name    varchar(190) PRIMARY KEY,
	scope   varchar(10) NOT NULL, -- all, group or entry
	target  varchar(255) NOT NULL DEFAULT '', -- the group's name, or the entry's id
	spec    varchar(1000) NOT NULL,
	zone    varchar(255) NOT NULL DEFAULT '', -- of the spec, unless it names one; empty is the zone of the settings
	seconds bigint NOT NULL,
	reason  varchar(1000) NOT NULL,
	made_by varchar(255) NOT NULL DEFAULT ''
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
