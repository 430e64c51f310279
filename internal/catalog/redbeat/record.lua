-- Writes that an entry ran, unless it is known already, or that it ran later: a node that
-- was cut off tells of runs when another has gone on.
-- Keys: the entry's hash, the sorted set. Arguments: last_run_at as RedBeat's JSON, how
-- many times it ran since the last call, the score.
if redis.call('HEXISTS', KEYS[1], 'definition') == 0 then return 0 end
local total = 0
local known = redis.call('HGET', KEYS[1], 'meta')
if known and known ~= '' then
	local ok, meta = pcall(cjson.decode, known)
	if ok and type(meta) == 'table' then
		total = tonumber(meta.total_run_count) or 0
		local last, new = meta.last_run_at, cjson.decode(ARGV[1])
		if type(last) == 'table' then
			local same = true
			for name, value in pairs(new) do
				if last[name] ~= value then same = false end
			end
			if same then return 0 end
			if last.timezone == new.timezone then
				for _, name in ipairs({'year', 'month', 'day', 'hour', 'minute', 'second', 'microsecond'}) do
					local was, is = tonumber(last[name]) or 0, tonumber(new[name]) or 0
					if was > is then return 0 end
					if was < is then break end
				end
			end
		end
	end
end
redis.call('HSET', KEYS[1], 'meta',
	'{"last_run_at": ' .. ARGV[1] .. ', "total_run_count": ' .. string.format('%d', total + tonumber(ARGV[2])) .. '}')
redis.call('ZADD', KEYS[2], 'XX', ARGV[3], KEYS[1])
return 1
