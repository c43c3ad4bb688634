"""From settings and a GGUF to a plan: which layers go to which device, what that takes and how fast it will be."""
