-- Gives reservations back under the names they were made with, each once, by removing its record.
--
-- KEYS: for each account its counters and its pending reservations.
-- ARGV[1]: JSON, one array a claim: account (1-based), epoch, name, 1 if it posted, {fields...}
for _, claim in ipairs(cjson.decode(ARGV[1])) do
  local account, epoch, name, posted, fields = claim[1], claim[2], claim[3], claim[4], claim[5]
  local counters, pending = KEYS[account * 2 - 1], KEYS[account * 2]
  local opened, current = unpack(redis.call('HMGET', counters, 'g', 'e'))
  -- Counters opened at a newer epoch were loaded from the ledger, which does not know this reservation: nothing to give
  -- back. Counters that were moved on from its epoch still hold it.
  if opened and tonumber(opened) <= epoch and epoch <= tonumber(current) then
    local record_key = string.format('%s:%.0f:%s', counters, epoch, name)
    local record = redis.call('GET', record_key)
    if record then
      local owners, rest = string.match(record, '^(%d+) (.*)$')
      if tonumber(owners) > 1 then
        redis.call('SET', record_key, (owners - 1) .. ' ' .. rest, 'KEEPTTL')
      else
        local moved = string.match(rest, '^%d+')
        redis.call('DEL', record_key)
        redis.call('ZREM', pending, string.format('%.0f:%s', epoch, name))
        if posted == 1 then
          redis.call('HINCRBY', counters, 'b', moved)
        else
          redis.call('HINCRBY', counters, 'h', '-' .. moved)
        end
        for _, field in ipairs(fields) do redis.call('HINCRBY', counters, field, '-' .. moved) end
      end
    end
  end
end
return 1
