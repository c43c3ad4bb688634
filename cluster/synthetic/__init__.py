"""Models of random weights in shapes of a known size, for benchmarks, measurements and tests."""
