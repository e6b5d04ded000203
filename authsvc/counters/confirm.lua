-- Reservations whose rows are committed are no longer pending. Their records stay a while, for duplicates.
--
-- KEYS: for each account its counters and its pending reservations.
-- ARGV[1]: JSON, one array an account and epoch: account (1-based), epoch, {names...}.
for _, group in ipairs(cjson.decode(ARGV[1])) do
  local account, epoch, names = group[1], group[2], group[3]
  if tonumber(redis.call('HGET', KEYS[account * 2 - 1], 'e') or 0) == epoch then
    redis.call('ZREM', KEYS[account * 2], unpack(names))
  end
end
return 1
