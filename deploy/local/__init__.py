"""The whole mesh on the loopback: for the demo, the load test and the integration tests."""
