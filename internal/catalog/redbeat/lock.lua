-- Takes or prolongs RedBeat's lock.
-- Keys: the lock. Arguments: the owner's token, milliseconds. Returns -2, or how long
-- another holds it for: milliseconds, -1 for good.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return redis.call('PTTL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return -2
