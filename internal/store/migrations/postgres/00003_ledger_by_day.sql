-- +goose Up

-- The ledger by day of recording, so that an old day is dropped, not deleted row by row.
-- What it held goes on as a partition of its own: its last day stands in its name, as in
-- the name of each. What is there stays, so that the printed SQL may have been run by hand.

-- +goose StatementBegin
DO $$
DECLARE
	today date := (now() AT TIME ZONE 'UTC')::date;
	before name := 'onebeat_runs_' || to_char(today - 1, 'YYYYMMDD');
	held boolean;
BEGIN
	IF (SELECT relkind FROM pg_class WHERE oid = 'onebeat_runs'::regclass) = 'p' THEN
		RETURN;
	END IF;
	EXECUTE format('ALTER TABLE onebeat_runs RENAME TO %I', before);
	EXECUTE format('ALTER INDEX onebeat_runs_entry_slot RENAME TO %I', before || '_entry_slot');
	EXECUTE format('ALTER INDEX onebeat_runs_slot RENAME TO %I', before || '_slot');
	EXECUTE format('ALTER TABLE %I ADD COLUMN day date NOT NULL DEFAULT ((now() AT TIME ZONE ''UTC'')::date - 1)', before);
	EXECUTE format('ALTER TABLE %I ALTER COLUMN day SET DEFAULT (now() AT TIME ZONE ''UTC'')::date', before);
	EXECUTE format('CREATE TABLE onebeat_runs (LIKE %I INCLUDING DEFAULTS) PARTITION BY RANGE (day)', before);
	CREATE INDEX onebeat_runs_entry_slot ON onebeat_runs (entry_id, slot);
	CREATE INDEX onebeat_runs_slot ON onebeat_runs USING brin (slot);
	EXECUTE format('SELECT EXISTS (SELECT FROM %I)', before) INTO held;
	IF held THEN
		EXECUTE format('ALTER TABLE onebeat_runs ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)', before, today);
	ELSE
		EXECUTE format('DROP TABLE %I', before);
	END IF;
	CREATE TABLE onebeat_runs_rest PARTITION OF onebeat_runs DEFAULT; -- of days that nobody made a partition for
END
$$;
-- +goose StatementEnd

-- Makes the partitions of today and the next days, and drops those whose last day is more
-- than so many days ago; 0 drops none. One call at a time; others do nothing. It works with
-- the rights of the tables' owner, for whoever may execute it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION onebeat_tend_runs(keep integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	today date := (now() AT TIME ZONE 'UTC')::date;
	each_day date;
	part name;
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('onebeat_tend_runs ' || 'onebeat_runs'::regclass::oid, 0)) THEN
		RETURN;
	END IF;
	FOR each_day IN SELECT today + n FROM generate_series(0, 3) AS n LOOP
		part := 'onebeat_runs_' || to_char(each_day, 'YYYYMMDD');
		CONTINUE WHEN to_regclass(part::text) IS NOT NULL;
		BEGIN -- attached, not made as a partition: that would wait for whoever reads the ledger
			EXECUTE format('CREATE TABLE %I (LIKE onebeat_runs INCLUDING ALL)', part);
			EXECUTE format('ALTER TABLE onebeat_runs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, each_day, each_day + 1);
		EXCEPTION WHEN check_violation THEN
			NULL; -- runs of that day are in onebeat_runs_rest by now, where the others follow
		END;
	END LOOP;
	IF keep = 0 THEN
		RETURN;
	END IF;
	FOR part IN
		SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
		WHERE inhparent = 'onebeat_runs'::regclass AND relname ~ '^onebeat_runs_\d{8}$'
	LOOP
		IF to_date(right(part, 8), 'YYYYMMDD') < today - keep THEN
			EXECUTE format('DROP TABLE %I', part);
		END IF;
	END LOOP;
	DELETE FROM onebeat_runs_rest WHERE day < today - keep;
END
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION onebeat_tend_runs FROM PUBLIC;

SELECT onebeat_tend_runs(0);

-- A batch is in the journal for moments: compressing it would take longer than writing it.
ALTER TABLE onebeat_journal ALTER COLUMN dues SET STORAGE EXTERNAL;
