-- Reservations whose rows are committed are no longer pending. Their records stay a while, for duplicates.
--
-- KEYS: for each account its counters and its pending reservations.
-- ARGV[1]: JSON, one array an account: account (1-based), {epoch and name as "epoch:name"...}.
for _, group in ipairs(cjson.decode(ARGV[1])) do
  redis.call('ZREM', KEYS[group[1] * 2], unpack(group[2]))
end
return 1
