-- What the triggers do: they name the rows that changed and wake those who watch. A trigger of a
-- table of schedules names in its argument the column that refers to it. It needs its maker's rights, as a
-- program that writes schedules may have none on onebeat's tables.
-- In: nothing. Out: nothing.
CREATE OR REPLACE FUNCTION onebeat_note_django_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	noted bigint;
BEGIN
	IF TG_NARGS > 0 THEN
		EXECUTE format('INSERT INTO onebeat_changes (entry_id)
			SELECT s.id::text FROM new_rows AS n JOIN django_celery_beat_periodictask AS s ON s.%I = n.id', TG_ARGV[0]);
	ELSIF {{trigger_body}}
END $$
