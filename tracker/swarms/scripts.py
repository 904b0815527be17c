"""What Redis does by itself, in one step each (Lua).

The time is Redis' own, so that the clocks of the replicas do not matter. A swarm of one family is
known by a prefix, of which the scripts make its keys; so all this is for one server, not a cluster.

``:incomplete``, ``:complete``
    Sorted sets of endpoints; a score is the millisecond at which that peer expires.
``:peers``
    A hash from endpoint to peer id (20 bytes), bytes left (8), and the group in hexadecimal.
``:downloaded``
    The counter of completions. It outlives the peers.
``:incomplete:of:GROUP``, ``:complete:of:GROUP``
    The same peers again, by group; those that have none are a group as well, named "".
``:incomplete:groups``, ``:complete:groups``
    Sorted sets of these groups; a score is the millisecond at which the last one in it expires.

The keys of groups are there only once a peer of the swarm has a group, so that swarms that know no
racks do not pay for them. Whoever looks at a group drops its expired ones first: the two records of
a peer have the same score, so they end in the same millisecond without looking at each other.
All keys but the counter end with the last of their peers.
"""

from __future__ import annotations

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

#: Who is where: expects ``endpoint`` and ``lifetime`` (milliseconds), which each script reads.
_PEERS = """
local function drop_expired(swarm)
  for _, kind in ipairs({swarm .. ':incomplete', swarm .. ':complete'}) do
    while true do
      local gone = redis.call('ZRANGE', kind, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
      if #gone == 0 then break end
      redis.call('ZREM', kind, unpack(gone))
      redis.call('HDEL', swarm .. ':peers', unpack(gone))
    end
  end
end

local function group_of(record) return record:sub(29) end

local function is_grouped(swarm)
  return redis.call('EXISTS', swarm .. ':incomplete:groups', swarm .. ':complete:groups') > 0
end

local function join(kind, group, member, expiry)
  local key, groups = kind .. ':of:' .. group, kind .. ':groups'
  redis.call('ZADD', key, expiry, member)
  redis.call('ZADD', groups, 'GT', expiry, group)
  redis.call('PEXPIRE', key, lifetime)
  redis.call('PEXPIRE', groups, lifetime)
end

local function part(kind, group, member)
  local key = kind .. ':of:' .. group
  if redis.call('ZREM', key, member) == 1 and redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', kind .. ':groups', group)
  end
end

-- The first peer that has a group has come: sort the others too. Once in the life of a swarm.
local function sort_into_groups(swarm)
  for _, kind in ipairs({swarm .. ':incomplete', swarm .. ':complete'}) do
    local found = redis.call('ZRANGE', kind, 0, -1, 'WITHSCORES')
    for i = 1, #found, 2 do
      local record = redis.call('HGET', swarm .. ':peers', found[i])
      if record then join(kind, group_of(record), found[i], found[i + 1]) end
    end
  end
end

local function keep_in_group(swarm, own, other, group)
  if not is_grouped(swarm) then
    if group == '' then return end
    sort_into_groups(swarm)
  end
  local record = redis.call('HGET', swarm .. ':peers', endpoint)
  if record then
    local former = group_of(record)
    part(other, former, endpoint)
    if former ~= group then part(own, former, endpoint) end
  end
  join(own, group, endpoint, now + lifetime)
end

local function put(swarm, record, is_complete)
  local own, other, peers = swarm .. ':incomplete', swarm .. ':complete', swarm .. ':peers'
  if is_complete then own, other = other, own end
  keep_in_group(swarm, own, other, group_of(record))
  redis.call('ZREM', other, endpoint)
  redis.call('ZADD', own, now + lifetime, endpoint)
  redis.call('HSET', peers, endpoint, record)
  redis.call('PEXPIRE', own, lifetime)
  redis.call('PEXPIRE', peers, lifetime)
end

local function drop(swarm, record)
  for _, kind in ipairs({swarm .. ':incomplete', swarm .. ':complete'}) do
    redis.call('ZREM', kind, endpoint)
    part(kind, group_of(record), endpoint)
  end
  redis.call('HDEL', swarm .. ':peers', endpoint)
end
"""

#: Who is drawn: expects ``endpoint`` too, which is never among them.
_DRAW = """
local function size_of_group(kind, group)
  local key = kind .. ':of:' .. group
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local count = redis.call('ZCARD', key)
  if count == 0 then redis.call('ZREM', kind .. ':groups', group) end
  return count
end

-- Add so many of a sorted set to ``drawn``. Whether the asker is in it the caller knows.
local function draw(key, count, has_asker, drawn)
  if count < 1 then return end
  if not has_asker then
    for _, found in ipairs(redis.call('ZRANDMEMBER', key, count)) do drawn[#drawn + 1] = found end
    return
  end
  local others = {}
  for _, found in ipairs(redis.call('ZRANDMEMBER', key, count + 1)) do
    if found ~= endpoint then others[#others + 1] = found end
  end
  -- The asker was not drawn: one too many, and not the last, as Redis may return them in order.
  if #others > count then others[math.random(#others)] = others[#others] end
  for i = 1, math.min(count, #others) do drawn[#drawn + 1] = others[i] end
end

-- In random order, as Redis may return a sample in that of its set.
local function shuffle(list)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
end

-- Which of these groups have how many to draw, ``own`` excepted.
local function look(kind, names, own, asker_group)
  local groups = {}
  for _, name in ipairs(names) do
    local room = 0
    if name ~= own then room = size_of_group(kind, name) end
    if name == asker_group then room = room - 1 end
    if room > 0 then groups[#groups + 1] = {name = name, room = room, share = 0} end
  end
  return groups
end

-- Share ``want`` out between groups, as evenly as they allow; the rest goes to some at random.
local function share_out(groups, want)
  local missing, open = want, {unpack(groups)}
  while missing > 0 and #open > 0 do
    shuffle(open)
    local each, still_open = math.max(1, math.floor(missing / #open)), {}
    for _, group in ipairs(open) do
      local given = math.min(each, group.room, missing)
      group.room, group.share, missing = group.room - given, group.share + given, missing - given
      if group.room > 0 then still_open[#still_open + 1] = group end
    end
    open = still_open
  end
end

-- Draw from all groups but ``own``, which is nil for an asker of no group: to it all are far.
-- Of a thousand groups no more are looked at than one for each peer wanted, and one that may be its
-- own; unless some of these are empty.
local function draw_far(kind, own, asker_group, want, drawn)
  local names = redis.call('ZRANDMEMBER', kind .. ':groups', want + 1)
  local groups = look(kind, names, own, asker_group)
  if #groups < want and #names > want then
    groups = look(kind, redis.call('ZRANGE', kind .. ':groups', 0, -1), own, asker_group)
  end
  share_out(groups, want)
  for _, group in ipairs(groups) do
    draw(kind .. ':of:' .. group.name, group.share, group.name == asker_group, drawn)
  end
end

-- Returns how many of a kind are near and far, and up to ``want`` of each.
-- ``asker_group`` is the asker's if it is of that kind itself, else nil.
local function near_and_far(kind, group, asker_group, want)
  local near, far, near_count, has_asker = {}, {}, 0, asker_group ~= nil
  local own = has_asker and 1 or 0
  if group ~= '' then
    near_count = size_of_group(kind, group) - own
    draw(kind .. ':of:' .. group, math.min(want, near_count), has_asker, near)
  end
  local far_count = redis.call('ZCARD', kind) - own - near_count
  if redis.call('EXISTS', kind .. ':groups') == 0 then
    draw(kind, math.min(want, far_count), has_asker, far)
  elseif far_count > 0 then
    draw_far(kind, group ~= '' and group or nil, asker_group, math.min(want, far_count), far)
  end
  shuffle(near)
  shuffle(far)
  return near_count, far_count, table.concat(near), table.concat(far)
end
"""

#: KEYS: the swarm.
#: ARGV: endpoint; its record; whether it is complete, has completed, has stopped (1 or 0); how many
#: to draw of each kind; a seed for chance; the lifetime of a peer in milliseconds, that of the
#: counter in seconds.
#: Returns the three counts. If somebody is wanted, then how many others are near and complete, near
#: and incomplete, far and complete, far and incomplete; and of each of these, in that order, those
#: that were drawn, all in one string, which is read far faster than a list.
ANNOUNCE = (
    _CLOCK
    + """
local endpoint, record = ARGV[1], ARGV[2]
local is_complete, has_completed, has_stopped = ARGV[3] == '1', ARGV[4] == '1', ARGV[5] == '1'
local want, lifetime = tonumber(ARGV[6]), tonumber(ARGV[8])
math.randomseed(tonumber(ARGV[7]))
"""
    + _PEERS
    + _DRAW
    + """
local swarm = KEYS[1]
local incomplete, complete = swarm .. ':incomplete', swarm .. ':complete'
local downloaded, group = swarm .. ':downloaded', group_of(record)

drop_expired(swarm)
if has_stopped then
  local known = redis.call('HGET', swarm .. ':peers', endpoint)
  if known and known:sub(1, 20) == record:sub(1, 20) then drop(swarm, known) end
else
  if is_complete and has_completed and not redis.call('ZSCORE', complete, endpoint) then
    redis.call('INCR', downloaded)
  end
  put(swarm, record, is_complete)
  redis.call('EXPIRE', downloaded, ARGV[9])
end

local answer = {redis.call('ZCARD', complete), redis.call('ZCARD', incomplete),
                tonumber(redis.call('GET', downloaded) or 0)}
if has_stopped or want < 1 then return answer end
local near_c, far_c, drawn_near_c, drawn_far_c = 0, 0, '', ''
if not is_complete then
  near_c, far_c, drawn_near_c, drawn_far_c = near_and_far(complete, group, nil, want)
end
local near_i, far_i, drawn_near_i, drawn_far_i =
  near_and_far(incomplete, group, not is_complete and group or nil, want)
for _, value in ipairs({near_c, near_i, far_c, far_i,
                        drawn_near_c, drawn_near_i, drawn_far_c, drawn_far_i}) do
  answer[#answer + 1] = value
end
return answer
"""
)

#: KEYS: swarms. ARGV: endpoint; the lifetimes as above; then the endpoint's record in each swarm.
REPORT = (
    _CLOCK
    + "local endpoint, lifetime = ARGV[1], tonumber(ARGV[2])\n"
    + _PEERS
    + """
local nothing = string.rep('\\0', 8)
for i, swarm in ipairs(KEYS) do
  local record = ARGV[i + 3]
  drop_expired(swarm)
  put(swarm, record, record:sub(21, 28) == nothing)
  redis.call('EXPIRE', swarm .. ':downloaded', ARGV[3])
end
"""
)

#: KEYS: swarms. ARGV: endpoint.
LEAVE = (
    _CLOCK
    + "local endpoint, lifetime = ARGV[1], 0\n"
    + _PEERS
    + """
for _, swarm in ipairs(KEYS) do
  local record = redis.call('HGET', swarm .. ':peers', endpoint)
  if record then drop(swarm, record) end
end
"""
)

#: KEYS: swarms, all keys of which are removed.
FORGET = """
for _, swarm in ipairs(KEYS) do
  for _, kind in ipairs({swarm .. ':incomplete', swarm .. ':complete'}) do
    for _, group in ipairs(redis.call('ZRANGE', kind .. ':groups', 0, -1)) do
      redis.call('UNLINK', kind .. ':of:' .. group)
    end
    redis.call('UNLINK', kind, kind .. ':groups')
  end
  redis.call('UNLINK', swarm .. ':peers', swarm .. ':downloaded')
end
"""

#: KEYS: swarms. Returns complete, incomplete and downloaded of each.
SCRAPE = (
    _CLOCK
    + """
local later, counts = string.format('(%.0f', now), {}
for _, swarm in ipairs(KEYS) do
  counts[#counts + 1] = redis.call('ZCOUNT', swarm .. ':complete', later, '+inf')
  counts[#counts + 1] = redis.call('ZCOUNT', swarm .. ':incomplete', later, '+inf')
  counts[#counts + 1] = tonumber(redis.call('GET', swarm .. ':downloaded') or 0)
end
return counts
"""
)

#: KEYS: the swarm. Returns the counter; then all living peers: endpoint and record, in turns.
#: A record is missing if Redis was short of memory and dropped it; such a peer is left out.
MEMBERS = (
    _CLOCK
    + """
local swarm, later = KEYS[1], string.format('(%.0f', now)
local answer = {tonumber(redis.call('GET', swarm .. ':downloaded') or 0)}
for _, kind in ipairs({swarm .. ':incomplete', swarm .. ':complete'}) do
  for _, endpoint in ipairs(redis.call('ZRANGE', kind, later, '+inf', 'BYSCORE')) do
    local record = redis.call('HGET', swarm .. ':peers', endpoint)
    if record then
      answer[#answer + 1] = endpoint
      answer[#answer + 1] = record
    end
  end
end
return answer
"""
)
