"""What files that this library writes say they are, as ``general.architecture``: no model is called so."""

STATE = "ggml-state"  # tensors by name
PROGRAM = "ggml-program"  # a graph of operations, and its tensors
NESTED = "ggml-nested"  # dicts and lists with tensors among them: a checkpoint of training
