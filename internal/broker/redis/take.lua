-- Makes every publish of a lower term fail from now on.
--
-- KEYS[1]  the fence: a hash of term, seq, done, note, at, last
-- ARGV[1]  the term that is taken
--
-- Returns {"fenced", term} if the fence has a higher term, else
-- {"taken", term, seq, done, note, at, last} as they stood, zeros where there was nothing.
local stored = redis.call('HMGET', KEYS[1], 'term', 'seq', 'done', 'note', 'at', 'last')
if tonumber(stored[1] or 0) > tonumber(ARGV[1]) then
	return {'fenced', stored[1]}
end
redis.call('HSET', KEYS[1], 'term', ARGV[1])
return {'taken', stored[1] or '0', stored[2] or '0', stored[3] or '0', stored[4] or '', stored[5] or '0', stored[6] or ''}
