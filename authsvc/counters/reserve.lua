-- Moves all counters of a request or none: the reservation of a decision.
--
-- KEYS: the index of active accounts, then for each account its counters (hash) and its pending reservations (sorted set).
-- ARGV[1]: JSON, one array an ask: account (1-based), least epoch, name, flags, amount, [cap, {field, limit}...]
--          flags: 1 moves, 2 accepts less, 4 posts (from the balance instead of a hold), 8 the balance is enforced.
--          cap and limit: -1 for none.
-- ARGV[2]: how long a record is kept, ms. ARGV[3]: JSON, the accounts' ids, for the index.
-- Returns for each ask {1, epoch, moved, balance, held, used...} as it was before the move,
-- or {0, epoch (0: rebuild), 1 if the funds are missing, positions of missing counters...}.
local asks = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local epochs = {}
for account = 1, (#KEYS - 1) / 2 do
  epochs[account] = redis.call('HGET', KEYS[account * 2], 'e')
end
for _, id in ipairs(cjson.decode(ARGV[3])) do
  redis.call('ZADD', KEYS[1], now_ms, id)
end

local function has(flags, bit)
  return math.floor(flags / bit) % 2 == 1
end

local function share(record_key, record, epoch)
  -- A duplicate shares the reservation and becomes one more owner: only the last owner's release gives it back.
  local owners, rest = string.match(record, '^(%d+) (.*)$')
  redis.call('SET', record_key, (owners + 1) .. ' ' .. rest, 'KEEPTTL')
  local answer = {1, tonumber(epoch)}
  for figure in string.gmatch(rest, '%S+') do
    answer[#answer + 1] = tonumber(figure)
  end
  return answer
end

local function missing(values, epoch)
  local answer = nil
  if not (values[1] and values[2]) then answer = {0, tonumber(epoch), 1} end
  for i = 3, #values do
    if not values[i] then
      answer = answer or {0, tonumber(epoch), 0}
      answer[#answer + 1] = i - 3
    end
  end
  return answer
end

local answers = {}
for position, ask in ipairs(asks) do
  local account, epoch_min, name, flags, amount, terms = ask[1], ask[2], ask[3], ask[4], ask[5], ask[6]
  local counters, pending, epoch = KEYS[account * 2], KEYS[account * 2 + 1], epochs[account]
  local answer
  if not epoch or tonumber(epoch) < epoch_min then
    answer = {0, 0, 1}
  else
    local record_key = counters .. ':' .. epoch .. ':' .. name
    local moves = has(flags, 1)
    local record = moves and redis.call('GET', record_key)
    if record then
      answer = share(record_key, record, epoch)
    else
      local fields = {'b', 'h'}
      for i = 2, #terms, 2 do fields[#fields + 1] = terms[i] end
      local values = redis.call('HMGET', counters, unpack(fields))
      answer = missing(values, epoch)
      if not answer then
        local room = amount
        local function cap(limit) if limit < room then room = limit end end
        for i = 1, #values do values[i] = tonumber(values[i]) end
        if has(flags, 8) then cap(values[1] - values[2]) end
        if terms[1] >= 0 then cap(terms[1]) end
        for i = 3, #values do
          local limit = terms[(i - 1) * 2 - 1]
          if limit >= 0 then cap(limit - values[i]) end
        end
        local moved = 0
        if moves and (room == amount or (room > 0 and has(flags, 2))) then moved = room end
        answer = {1, tonumber(epoch), moved, unpack(values)}
        if moved > 0 then
          if has(flags, 4) then
            redis.call('HINCRBY', counters, 'b', -moved)
          else
            redis.call('HINCRBY', counters, 'h', moved)
          end
          for i = 3, #fields do redis.call('HINCRBY', counters, fields[i], moved) end
          for i = 3, #answer do answer[i] = string.format('%.0f', answer[i]) end
          redis.call('SET', record_key, '1 ' .. table.concat(answer, ' ', 3), 'PX', ARGV[2])
          redis.call('ZADD', pending, now_ms, name)
          for i = 3, #answer do answer[i] = tonumber(answer[i]) end
        end
      end
    end
  end
  answers[position] = answer
end
return answers
