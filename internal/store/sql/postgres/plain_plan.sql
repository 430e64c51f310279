-- Has no statement of this transaction compiled: a look into each part of the ledger takes
-- milliseconds, of which the planner knows nothing, and to compile it seconds.
-- In: nothing. Out: nothing that matters.
SELECT set_config('jit', 'off', true)
