-- +goose NO TRANSACTION
-- +goose Up

-- The ledger has parts, each of a quarter of a million runs that were recorded one after the other, and
-- its index goes by part first: what is recorded together is written in few places of it,
-- however large the ledger is. With the entry first each run was a page of its own.
ALTER TABLE onebeat_runs ADD COLUMN IF NOT EXISTS part bigint NOT NULL DEFAULT 0;

-- The runs of part 0 were recorded by an older onebeat.
CREATE TABLE IF NOT EXISTS onebeat_parts (
	part       bigint PRIMARY KEY,
	runs       bigint NOT NULL, -- how many were recorded in it, once it has ended
	first_slot timestamptz NOT NULL, -- or before
	last_slot  timestamptz NOT NULL, -- or after; also of a range
	first_day  date NOT NULL, -- of recording, or before
	last_day   date NOT NULL
);
INSERT INTO onebeat_parts VALUES (0, 0, '-infinity', 'infinity', '-infinity', 'infinity') ON CONFLICT DO NOTHING;

-- Who may write runs may write parts.
-- +goose StatementBegin
DO $$
DECLARE
	given record;
BEGIN
	FOR given IN
		SELECT grantee, privilege_type FROM pg_class, aclexplode(relacl)
		WHERE oid = 'onebeat_runs'::regclass AND grantee <> relowner AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
	LOOP
		EXECUTE format('GRANT %s ON onebeat_parts TO %s', given.privilege_type, CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END);
	END LOOP;
END
$$;
-- +goose StatementEnd

CREATE INDEX IF NOT EXISTS onebeat_runs_part ON onebeat_runs (part, entry_id, slot);
DROP INDEX IF EXISTS onebeat_runs_entry_slot;
