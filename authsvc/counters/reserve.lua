-- Moves all counters of a request or none: the reservation of a decision.
--
-- KEYS: the index of active accounts, then for each account its counters (hash) and its pending reservations (sorted set).
-- ARGV[1]: JSON, one array an ask: account (1-based), least epoch, name, flags, amount, [fields, caps]
--          flags: 1 moves, 2 accepts less, 4 posts (from the balance instead of a hold), 8 the balance is enforced.
--          fields: e (the epoch), b (balance), h (open holds), then the plan's counters.
--          caps: the limit on the transaction alone, then those of the counters; -1 for none.
-- ARGV[2]: how long a record is kept, ms. ARGV[3]: JSON, the accounts' ids, for the index.
-- ARGV[4]: how this server's replication id must begin. It changes when a server becomes a master again: then the keys,
-- whose names tell the earlier reign, may have been set back by another master meanwhile.
-- Returns for each ask {1, epoch, moved, balance, held, used...} as it was before the move,
-- or {0, epoch (0: rebuild), 1 if the funds are missing, positions of missing counters...}.
local call, floor, keys = redis.call, math.floor, KEYS
local record_ms = ARGV[2]
if not string.find(call('INFO', 'replication'), 'master_replid:' .. ARGV[4], 1, true) then
  return redis.error_reply('STALEMASTER this server has become a master again')
end
local time = call('TIME')
local now_ms = time[1] * 1000 + floor(time[2] / 1000)

local function share(record_key, record, epoch)
  -- A duplicate shares the reservation and becomes one more owner: only the last owner's release gives it back.
  local owners, rest = string.match(record, '^(%d+) (.*)$')
  call('SET', record_key, (owners + 1) .. ' ' .. rest, 'KEEPTTL')
  local answer = {1, epoch}
  for figure in string.gmatch(rest, '%S+') do answer[#answer + 1] = tonumber(figure) end
  return answer
end

local function missing(values, epoch)
  local answer = nil
  if not (values[2] and values[3]) then answer = {0, epoch, 1} end
  for i = 4, #values do
    if not values[i] then
      answer = answer or {0, epoch, 0}
      answer[#answer + 1] = i - 4
    end
  end
  return answer
end

local function least_room(values, amount, enforced, caps)
  local room = amount
  if enforced and values[2] - values[3] < room then room = values[2] - values[3] end
  if caps[1] >= 0 and caps[1] < room then room = caps[1] end
  for i = 4, #values do
    local cap = caps[i - 2]
    if cap >= 0 and cap - values[i] < room then room = cap - values[i] end
  end
  return room
end

local function text_of(number)
  -- Lua writes 14 digits of a number; a counter may have more. The server itself writes all that a command is given.
  if number < 1e14 and number > -1e14 then return number end
  return string.format('%.0f', number)
end

local function move(counters, values, fields, moved, posts)
  local command = {'HSET', counters, posts and 'b' or 'h', posts and values[2] - moved or values[3] + moved}
  for i = 4, #fields do
    command[2 * i - 3] = fields[i]
    command[2 * i - 2] = values[i] + moved
  end
  call(unpack(command))
end

local function decide(ask)
  local account, epoch_min, name, flags, amount = ask[1], ask[2], ask[3], ask[4], ask[5]
  local fields, caps = ask[6][1], ask[6][2]
  local counters, pending = keys[account * 2], keys[account * 2 + 1]
  local values = call('HMGET', counters, unpack(fields))
  local epoch = tonumber(values[1] or 0)
  if epoch == 0 or epoch < epoch_min then return {0, 0, 1} end
  local record_key
  if flags % 2 == 1 then
    record_key = counters .. ':' .. values[1] .. ':' .. name
    local record = call('GET', record_key)
    if record then return share(record_key, record, epoch) end
  end
  local lacking = missing(values, epoch)
  if lacking then return lacking end
  local before = table.concat(values, ' ', 2)
  for i = 2, #values do values[i] = tonumber(values[i]) end
  local room = least_room(values, amount, flags >= 8, caps)
  local moved = 0
  if record_key and (room == amount or (room > 0 and floor(flags / 2) % 2 == 1)) then moved = room end
  if moved > 0 then
    -- Pending without a record: it was forgotten while nobody could tell its fate. The counters hold it, for whom?
    if call('ZADD', pending, now_ms, values[1] .. ':' .. name) == 0 then return {0, 0, 1} end
    move(counters, values, fields, moved, floor(flags / 4) % 2 == 1)
    call('SET', record_key, '1 ' .. text_of(moved) .. ' ' .. before, 'PX', record_ms)
  end
  return {1, epoch, moved, unpack(values, 2)}
end

local active = {}
for _, id in ipairs(cjson.decode(ARGV[3])) do
  active[#active + 1] = now_ms
  active[#active + 1] = id
end
call('ZADD', keys[1], unpack(active))

local answers = cjson.decode(ARGV[1])
for position, ask in ipairs(answers) do answers[position] = decide(ask) end
return answers
