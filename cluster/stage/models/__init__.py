"""What a stage can compute with: one file for each kind of model, and the sampler that serves them all."""
