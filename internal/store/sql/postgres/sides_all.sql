-- What onebeat remembers of entries, as far as planning mostly needs it.
-- In: nothing. Out, for each that is remembered: id, spec digest, since when slots count, whether it is or was paused.
SELECT entry_id, spec, greatest(after_at, last_slot), paused_at IS NOT NULL FROM onebeat_entries
