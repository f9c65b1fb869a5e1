"""
The rate limit service: how many.

One request: `codec` decodes a RateLimitRequest → `plan` matches its descriptors to limits
(`matcher`, over the trees that `limits_file` read) and binds them to counters (`counter_key`) →
the counter store adds the hits, the only await (`counters`) → `verdict` decides → `codec` encodes.
`service` is that journey; `__main__` puts the parts together.
"""
