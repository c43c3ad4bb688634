"""Many elements to fewer: sums, order, statistics."""
