"""What a caller of the cluster holds: errors, sampling parameters, results and status. It imports nothing of ours."""
