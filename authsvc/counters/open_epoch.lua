-- Starts empty counters at an epoch, unless a newer one is there.
--
-- KEYS: the account's counters and pending reservations. ARGV: epoch, time to live in ms.
local current = tonumber(redis.call('HGET', KEYS[1], 'e') or 0)
if current < tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'g', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
