"""What Redis does by itself, in one step each (Lua).

The time is Redis' own, so that the clocks of the replicas do not matter. A swarm of one family is
three keys: two sorted sets of endpoints, incomplete and complete, whose scores are the milliseconds
at which each peer expires; and a hash from endpoint to peer id and bytes left. All three end with
the last of their peers. The counter of completions is apart, and outlives them.
"""

from __future__ import annotations

#: KEYS: incomplete, complete, peers, downloaded.
#: ARGV: endpoint; peer id (20 bytes) and bytes left (8); whether it is complete, has completed,
#: has stopped (1 or 0); how many to draw; a random fraction (see ``draw.py``); the lifetime of a
#: peer in milliseconds, that of the counter in seconds.
#: Returns the three counts, and those drawn: endpoint and record of each, all in one string, which
#: is read far faster than a list. A record is missing if Redis was short of memory and dropped it.
ANNOUNCE = """
local incomplete, complete, peers, downloaded = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local endpoint, record = ARGV[1], ARGV[2]
local is_complete, has_completed, has_stopped = ARGV[3] == '1', ARGV[4] == '1', ARGV[5] == '1'
local want, fraction, lifetime = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function drop_expired(kind)
  while true do
    local gone = redis.call('ZRANGE', kind, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
    if #gone == 0 then return end
    redis.call('ZREM', kind, unpack(gone))
    redis.call('HDEL', peers, unpack(gone))
  end
end

drop_expired(incomplete)
drop_expired(complete)

local own, other = incomplete, complete
if is_complete then own, other = complete, incomplete end

if has_stopped then
  local known = redis.call('HGET', peers, endpoint)
  if known and known:sub(1, 20) == record:sub(1, 20) then
    redis.call('ZREM', own, endpoint)
    redis.call('ZREM', other, endpoint)
    redis.call('HDEL', peers, endpoint)
  end
  want = 0
else
  if is_complete and has_completed and not redis.call('ZSCORE', complete, endpoint) then
    redis.call('INCR', downloaded)
  end
  redis.call('ZREM', other, endpoint)
  redis.call('ZADD', own, now + lifetime, endpoint)
  redis.call('HSET', peers, endpoint, record)
  for _, key in ipairs({incomplete, complete, peers}) do redis.call('PEXPIRE', key, lifetime) end
  redis.call('EXPIRE', downloaded, ARGV[9])
end

local lacking, having = redis.call('ZCARD', incomplete), redis.call('ZCARD', complete)
local drawn = {}

local function draw(kind, count)
  if count < 1 then return end
  for _, found in ipairs(redis.call('ZRANDMEMBER', kind, count)) do
    if found ~= endpoint then drawn[#drawn + 1] = found end
  end
end

if want > 0 and is_complete then
  draw(incomplete, want)
elseif want > 0 then
  -- The asker itself may be drawn, and is left out: so one more.
  local most, total = want + 1, lacking + having
  local share = lacking
  if total > most then share = math.min(lacking, math.floor(most * lacking / total + fraction)) end
  draw(incomplete, share)
  draw(complete, most - share)
end

local found = {}
if #drawn > 0 then
  for i, known in ipairs(redis.call('HMGET', peers, unpack(drawn))) do
    if known then found[#found + 1] = drawn[i] .. known end
  end
end
return {having, lacking, tonumber(redis.call('GET', downloaded) or 0), table.concat(found)}
"""

#: KEYS: incomplete, complete, downloaded of each swarm. Returns three counts for each.
SCRAPE = """
local time = redis.call('TIME')
local later = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local counts = {}
for i = 1, #KEYS, 3 do
  counts[#counts + 1] = redis.call('ZCOUNT', KEYS[i + 1], later, '+inf')
  counts[#counts + 1] = redis.call('ZCOUNT', KEYS[i], later, '+inf')
  counts[#counts + 1] = tonumber(redis.call('GET', KEYS[i + 2]) or 0)
end
return counts
"""

#: KEYS: incomplete, complete, peers, downloaded.
#: Returns the counter, and all living peers as above.
MEMBERS = """
local time = redis.call('TIME')
local later = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local peers = {}
for i = 1, 2 do
  local start = 0
  while true do
    local found = redis.call('ZRANGE', KEYS[i], later, '+inf', 'BYSCORE', 'LIMIT', start, 1000)
    if #found == 0 then break end
    for j, known in ipairs(redis.call('HMGET', KEYS[3], unpack(found))) do
      if known then peers[#peers + 1] = found[j] .. known end
    end
    start = start + #found
  end
end
return {tonumber(redis.call('GET', KEYS[4]) or 0), table.concat(peers)}
"""
