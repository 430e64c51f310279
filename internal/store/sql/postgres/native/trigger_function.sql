-- What the triggers do: they name the rows that changed in onebeat_changes and wake those who
-- watch. Columns of run state and updated_at are no change. It needs its maker's rights, as a
-- program that writes schedules may have none on onebeat's tables.
-- In: nothing. Out: nothing.
CREATE OR REPLACE FUNCTION onebeat_note_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM new_rows;
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM old_rows;
	ELSIF TG_OP = 'UPDATE' THEN
		INSERT INTO onebeat_changes (entry_id)
		SELECT coalesce(n.id, o.id)::text
		FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
		WHERE to_jsonb(o) - '{last_run_at,total_run_count,updated_at}'::text[]
			IS DISTINCT FROM to_jsonb(n) - '{last_run_at,total_run_count,updated_at}'::text[];
	ELSE
		INSERT INTO onebeat_changes (entry_id) VALUES (NULL);
	END IF;
	IF FOUND THEN
		PERFORM pg_notify('onebeat_changes', '');
	END IF;
	RETURN NULL;
END $$
