-- What the triggers do: they name the rows that changed and wake those who watch. It needs its
-- maker's rights, as a program that writes schedules may have none on onebeat's tables.
-- In: nothing. Out: nothing.
CREATE OR REPLACE FUNCTION onebeat_note_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	noted bigint;
BEGIN
	IF {{trigger_body}}
END $$
