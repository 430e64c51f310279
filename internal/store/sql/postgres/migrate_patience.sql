-- Lets a change of the user's table give up, rather than make all who use the table wait
-- behind one long transaction.
-- In: nothing. Out: nothing.
SET LOCAL lock_timeout = '5s'
