-- Moves counters along with a commit that changed what was recorded before, from one epoch to the next.
--
-- KEYS: for each account its counters.
-- ARGV[1]: JSON, one array an account (in the order of KEYS): epoch before, epoch after, {fields...}, {changes...}.
-- Returns for each 1, or 0 where the counters are of another epoch: they lack something, and will be started afresh.
local AT_ONCE = 1000
local answers = {}
for position, change in ipairs(cjson.decode(ARGV[1])) do
  local counters = KEYS[position]
  local before, after, fields, changes = change[1], change[2], change[3], change[4]
  if tonumber(redis.call('HGET', counters, 'e') or 0) == before then
    for first = 1, #fields, AT_ONCE do
      local last = math.min(first + AT_ONCE - 1, #fields)
      for i, value in ipairs(redis.call('HMGET', counters, unpack(fields, first, last))) do
        local position_of_field = first + i - 1
        -- What is not there is loaded when it is needed, with this commit in it.
        if value then
          redis.call('HINCRBY', counters, fields[position_of_field], string.format('%.0f', changes[position_of_field]))
        end
      end
    end
    redis.call('HSET', counters, 'e', string.format('%.0f', after))
    answers[position] = 1
  else
    answers[position] = 0
  end
end
return answers
