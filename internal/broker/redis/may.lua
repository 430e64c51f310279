-- Tells what sending needs and the user may not run. A Redis older than 7 does not know, and nothing is told.
-- The keys are no KEYS: whoever may not touch one of them is to be told, not refused.
--
-- ARGV[1]    the fence
-- ARGV[2..]  pairs of a command that takes a key (a list, a set of bindings, a channel), and the key
--
-- Returns the commands, each with its key.
local refused = {}
if redis.acl_check_cmd then
	local function need(command, key, ...)
		if not redis.acl_check_cmd(command, key, ...) then
			refused[#refused + 1] = command .. ' ' .. key
		end
	end
	need('HMGET', ARGV[1], 'term')
	need('HSET', ARGV[1], 'term', '1')
	for pair = 2, #ARGV, 2 do
		if ARGV[pair] == 'SMEMBERS' then
			need(ARGV[pair], ARGV[pair + 1])
		else
			need(ARGV[pair], ARGV[pair + 1], '')
		end
	end
end
return refused
