"""Programs in slices: where a graph may be cut, the graph of a slice, and a slice that runs."""
