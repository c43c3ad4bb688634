"""What a caller of the cluster holds: errors, sampling parameters, results and status.

Of ours it imports only `ggml.sampling`.
"""
