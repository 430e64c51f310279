-- Notes what a part of the ledger has, to which no run is added any more.
-- In: its number, how many runs, their earliest slot, the latest one, also of ranges. Out: nothing.
UPDATE onebeat_parts SET runs = ?2, first_slot = ?3, last_slot = ?4 WHERE part = ?1
