-- Reservations whose rows are committed are no longer pending. Their records stay a while, for duplicates.
--
-- KEYS: for each account its counters and its pending reservations.
-- ARGV[1]: JSON, one array an account and epoch: account (1-based), epoch, {names...}. ARGV[2]: how long records stay, ms.
for _, group in ipairs(cjson.decode(ARGV[1])) do
  local account, epoch, names = group[1], group[2], group[3]
  local counters, pending = KEYS[account * 2 - 1], KEYS[account * 2]
  if tonumber(redis.call('HGET', counters, 'e') or 0) == epoch then
    local prefix = string.format('%s:%.0f:', counters, epoch)
    for _, name in ipairs(names) do
      redis.call('ZREM', pending, name)
      redis.call('PEXPIRE', prefix .. name, ARGV[2])
    end
  end
end
return 1
