-- Sets counters that are still missing, if the epoch is still the one they were loaded for.
--
-- KEYS: the account's counters. ARGV: epoch, then field and value in turn.
if redis.call('HGET', KEYS[1], 'e') == ARGV[1] then
  for i = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
