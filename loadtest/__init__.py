"""
How much time each service adds to a request: a real Envoy, asked through each filter and without.

`python -m loadtest` runs the demo's mesh and Locust against four listeners of one Envoy that
differ in nothing but their filters. `loadtest.bench` is about CPU time of the engines.
"""
