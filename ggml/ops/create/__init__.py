"""New tensors: from numbers, from other libraries, at random."""
