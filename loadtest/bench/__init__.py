"""
What a call costs the server, in CPU microseconds: engines side by side in one run.

`engines` runs the arms in turn, round by round, so that a drift of the machine hits all alike;
`constant` is the server under test, `replay` the closed-loop client that is always there, `h2load`
is used beside it where it is installed, `envoy` puts a real Envoy in front.
"""
