-- +goose Up

-- Since when the spec that is remembered of an entry counts: null where it was
-- remembered before this column was.
ALTER TABLE onebeat_entries ADD COLUMN IF NOT EXISTS spec_at timestamptz;
