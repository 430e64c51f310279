-- Remembers that entries have nothing to plan any more.
-- In, for each entry: id. Out: nothing.
UPDATE onebeat_entries SET spec = '' WHERE entry_id = ?1
