-- Takes accounts without pending reservations out of the index, unless they were active since they were looked at.
--
-- KEYS: the index. ARGV: account id and the score it had, in turn.
for i = 1, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1
