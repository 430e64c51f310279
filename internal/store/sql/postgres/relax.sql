-- Lets this transaction's commit return before it is on disk, lets it wait only shortly for
-- rows that another program holds, and tells the triggers that what it writes is run state.
-- In: nothing. Out: nothing that matters.
SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '200ms', true),
	set_config('onebeat.recording', 'on', true)
