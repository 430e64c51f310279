-- What the triggers do: they name the rows that changed and wake those who watch. A trigger of a
-- table of schedules names in its argument what the rows that refer to it have as their discriminator. It needs its maker's rights, as a
-- program that writes schedules may have none on onebeat's tables.
-- In: nothing. Out: nothing.
CREATE OR REPLACE FUNCTION onebeat_note_sqlalchemy_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	noted bigint;
BEGIN
	IF TG_NARGS > 0 THEN
		INSERT INTO onebeat_changes (entry_id)
			SELECT s.id::text FROM new_rows AS n JOIN {{schema}}celery_periodictask AS s ON s.schedule_id = n.id
			WHERE s.discriminator = TG_ARGV[0];
	ELSIF {{trigger_body}}
END $$
