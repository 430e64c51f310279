-- Notes that so many runs are written in the ledger's last part, or in the one after it once that is full.
-- In: how many, their earliest slot, the latest one, also of ranges. Out: the part.
INSERT INTO onebeat_parts AS last (part, runs, first_slot, last_slot)
SELECT coalesce(max(part + (runs >= 16384)), 1), ?1, ?2, ?3 FROM onebeat_parts WHERE true
ON CONFLICT (part) DO UPDATE
SET runs = last.runs + excluded.runs, first_slot = min(last.first_slot, excluded.first_slot), last_slot = max(last.last_slot, excluded.last_slot)
RETURNING part
