-- The runs of entries whose slots lie in a time, and of each entry the last slot before,
-- which may be of a range that reaches into it.
-- In: ids, the instant after which, the instant up to which. Out: entry id, slot, last slot of a range or null,
-- count, state, reason, request, when it was sent or null; by entry, in order of slot.
SELECT entry_id, slot, through, count, state, reason, request, sent_at
FROM onebeat_runs
WHERE entry_id = ANY ($1::text[]) AND slot > $2 AND slot <= $3
UNION ALL
SELECT before.*
FROM unnest($1::text[]) AS entry (id)
CROSS JOIN LATERAL (
	SELECT entry_id, slot, through, count, state, reason, request, sent_at
	FROM onebeat_runs
	WHERE entry_id = entry.id AND slot <= $2 AND request = ''
	ORDER BY slot DESC
	LIMIT 1
) AS before
ORDER BY 1, 2
