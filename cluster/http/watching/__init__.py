"""The cluster over time, as the page and Prometheus are told of it."""
