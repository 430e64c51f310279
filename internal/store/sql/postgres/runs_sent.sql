-- When the slots of a time were sent. It reads the whole ledger.
-- In: the earliest slot, the first that is too late. Out: slot, sent_at.
SELECT slot, sent_at FROM onebeat_runs WHERE state = 'sent' AND slot >= $1 AND slot < $2
