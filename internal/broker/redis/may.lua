-- Tells what sending needs and the user may not run. A Redis older than 7 does not know, and nothing is told.
-- The keys are no KEYS: whoever may not touch one of them is to be told, not refused.
--
-- ARGV[1]    the fence
-- ARGV[2..]  the lists to push to
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
	for list = 2, #ARGV do
		need('LPUSH', ARGV[list], '')
	end
end
return refused
