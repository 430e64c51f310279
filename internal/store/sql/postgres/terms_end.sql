-- Ends all terms.
-- In: nothing. Out: nothing.
UPDATE onebeat_leases SET term = term + 1
