"""A rehearsal: the real stages and the real engine decode with a model's shape, its weights zeros that nobody stored.

What steps cost depends on more than the weights: on messages, on the interpreter, on threads that get in each other's
way. So the pipeline itself is run for a moment, as the cluster would: each stage is a process with the real service
and a slice that is a header with a hole behind it; the engine runs here. Zeros take as long to multiply as any number.
"""
