-- Gives RedBeat's lock back, if it is ours.
-- Keys: the lock. Arguments: the owner's token.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
