"""Each way to put the services in front of a workload: one file, one folder of manifests."""
