-- What the functions of triggers have in common, from the condition of an IF on: they name the rows of the entries' table
-- that changed in onebeat_changes. Columns of run state, and those that say when a row was last written, are no change.
-- In: nothing. Out: nothing.
TG_OP = 'INSERT' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM new_rows;
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO onebeat_changes (entry_id) SELECT id::text FROM old_rows;
	ELSIF TG_OP = 'UPDATE' THEN
		INSERT INTO onebeat_changes (entry_id)
		SELECT coalesce(n.id, o.id)::text
		FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
		WHERE to_jsonb(o) - '{last_run_at,total_run_count,updated_at,date_changed}'::text[]
			IS DISTINCT FROM to_jsonb(n) - '{last_run_at,total_run_count,updated_at,date_changed}'::text[];
	ELSE
		INSERT INTO onebeat_changes (entry_id) VALUES (NULL);
	END IF;
	GET DIAGNOSTICS noted = ROW_COUNT;
	IF noted > 0 THEN
		PERFORM pg_notify('onebeat_changes', '');
	END IF;
	RETURN NULL;
