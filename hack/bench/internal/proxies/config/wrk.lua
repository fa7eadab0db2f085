-- Creates all requests before it sends the first, with the tokens of an optional file, and prints
-- the result. Times are in microseconds.
local requests, n = {}, 0
init = function(args)
   if args[1] then
      for token in io.lines(args[1]) do
         requests[#requests + 1] = wrk.format("GET", wrk.path, {["Authorization"] = "Bearer " .. token})
      end
   else
      requests[1] = wrk.format("GET", wrk.path)
   end
end
request = function()
   n = n % #requests + 1
   return requests[n]
end
done = function(summary, latency)
   local e = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
      e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
