-- Begins a part of the ledger, which may have any slots.
-- In: its number. Out: nothing.
INSERT INTO onebeat_parts (part, runs, first_slot, last_slot) VALUES (?1, 0, -9223372036854775808, 9223372036854775807)
