"""The tensor, and what is done with it beside operations: moving, sharing, computing, compiling."""
