"""Products of matrices, and what LAPACK computes on the host."""
