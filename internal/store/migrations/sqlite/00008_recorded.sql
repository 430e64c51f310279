-- +goose Up

-- How many of a batch's dues, from the first on, are recorded, where each part of it is
-- recorded with its messages. With it the batch leaves the journal in the end as ever.
ALTER TABLE onebeat_journal ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0;
