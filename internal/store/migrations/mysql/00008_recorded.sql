-- +goose Up

-- How many of a batch's dues, from the first on, are recorded, where each part of it is
-- recorded with its messages. With it the batch leaves the journal in the end as ever.
-- The printed SQL may have been run by hand, and the server takes nothing back where this is broken off: what is there already
-- is left as it is.
SET @onebeat_change = (SELECT if(count(*) > 0, 'DO 0', 'ALTER TABLE onebeat_journal ADD COLUMN recorded integer NOT NULL DEFAULT 0')
	FROM information_schema.columns WHERE table_schema = database() AND table_name = 'onebeat_journal' AND column_name = 'recorded');
PREPARE onebeat_change FROM @onebeat_change;
EXECUTE onebeat_change;
DEALLOCATE PREPARE onebeat_change;
