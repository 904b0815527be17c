-- wrk: each request announces one of the torrents of a file, at random.
--
--     wrk ... URL -- HASHES NUMWANT
--
-- HASHES is a file of info-hashes, 20 bytes each. All come from one peer, who is incomplete.
-- Requests are made beforehand, so that the load costs as little as it can.

local paths = {}
local next_one = 0

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   local data = file:read("*a")
   file:close()
   local rest = "&peer_id=-XX0001-wrkwrkwrkwrk&port=6882&uploaded=0&downloaded=0&left=1&compact=1&numwant="
   math.randomseed(1)
   for start = 1, #data, 20 do
      local quoted = data:sub(start, start + 19):gsub(".", function(c)
         return string.format("%%%02X", string.byte(c))
      end)
      local path = "/announce?info_hash=" .. quoted .. rest .. arguments[2]
      table.insert(paths, math.random(#paths + 1), wrk.format("GET", path))
   end
end

function request()
   next_one = next_one % #paths + 1
   return paths[next_one]
end

function done(summary, latency)
   io.write(string.format(
      '{"answered": %d, "seconds": %.4f, "errors": %d, "not_200": %d, "bytes": %d, "p99_ms": %.3f}\n',
      summary.requests, summary.duration / 1e6,
      summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect,
      summary.errors.status, summary.bytes, latency:percentile(99) / 1000))
end
