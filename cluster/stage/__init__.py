"""A stage: takes steps in, computes them in order with one slice, and passes them on."""
