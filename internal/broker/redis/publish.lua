-- Moves a shard's mark on and pushes the messages it speaks of, in one step.
--
-- KEYS[1]    the fence: a hash of term, seq, done, note, at, last
-- KEYS[2..]  the lists to push to
-- ARGV[1..4] term, seq, done, note of the mark to set
-- ARGV[5..6] at, last of it
-- ARGV[7..8] seq, done of the mark that was there last
-- ARGV[9]    the lowest place in the batch of a message that is sent here
-- then, for each list, the number of its messages and the messages;
-- then pairs of a channel and a message to publish there.
--
-- Returns {"fenced", term} if the fence has a higher term, {"forgot", seq, done} if the
-- mark is behind what it was, {"covered"} if the mark
-- was there already, with its note if it is the very one that is to be set,
-- {"overlap", done} if some of the messages were sent by another part, each without having done anything; else {"sent", number, error, ...}: which
-- took nothing, and why, the lists being numbered from 1 and the channels after them.
local fence = KEYS[1]
local stored = redis.call('HMGET', fence, 'term', 'seq', 'done')
local term, seq, done = tonumber(stored[1] or 0), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
local newSeq, newDone = tonumber(ARGV[2]), tonumber(ARGV[3])
if term > tonumber(ARGV[1]) then
	return {'fenced', stored[1]}
end
if seq < tonumber(ARGV[7]) or seq == tonumber(ARGV[7]) and done < tonumber(ARGV[8]) then
	return {'forgot', tostring(seq), tostring(done)}
end
if seq == newSeq and done == newDone then
	return {'covered', redis.call('HMGET', fence, 'note')[1] or ''}
end
if seq > newSeq or seq == newSeq and done > newDone then
	return {'covered'}
end
if seq == newSeq and done > tonumber(ARGV[9]) then
	return {'overlap', stored[3]}
end

-- The mark goes first: what stops every write (no memory, a replica, a full disk)
-- stops this one, before anything was changed.
redis.call('HSET', fence, 'term', ARGV[1], 'seq', ARGV[2], 'done', ARGV[3], 'note', ARGV[4], 'at', ARGV[5], 'last', ARGV[6])

local answer = {'sent'}
local at = 10
for list = 2, #KEYS do
	local last = at + tonumber(ARGV[at])
	for first = at + 1, last, 1000 do
		local pushed = redis.pcall('LPUSH', KEYS[list], unpack(ARGV, first, math.min(first + 999, last)))
		if type(pushed) == 'table' and pushed.err then
			answer[#answer + 1] = tostring(list - 1)
			answer[#answer + 1] = pushed.err
			break
		end
	end
	at = last + 1
end
for channel = at, #ARGV, 2 do
	local told = redis.pcall('PUBLISH', ARGV[channel], ARGV[channel + 1])
	if type(told) == 'table' and told.err then
		answer[#answer + 1] = tostring(#KEYS + (channel - at) / 2)
		answer[#answer + 1] = told.err
	end
end
return answer
