-- What the triggers do: they name the rows that changed in onebeat_changes and wake those who
-- watch. Columns of run state and date_changed are no change. A trigger of a table of schedules names in its argument
-- what the rows that refer to it have as their discriminator. It needs its maker's rights, as a program that writes schedules may have none on
-- onebeat's tables.
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
	ELSIF TG_OP = 'INSERT' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM new_rows;
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM old_rows;
	ELSIF TG_OP = 'UPDATE' THEN
		INSERT INTO onebeat_changes (entry_id)
		SELECT coalesce(n.id, o.id)::text
		FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
		WHERE to_jsonb(o) - '{last_run_at,total_run_count,date_changed}'::text[]
			IS DISTINCT FROM to_jsonb(n) - '{last_run_at,total_run_count,date_changed}'::text[];
	ELSE
		INSERT INTO onebeat_changes (entry_id) VALUES (NULL);
	END IF;
	GET DIAGNOSTICS noted = ROW_COUNT;
	IF noted > 0 THEN
		PERFORM pg_notify('onebeat_changes', '');
	END IF;
	RETURN NULL;
END $$
