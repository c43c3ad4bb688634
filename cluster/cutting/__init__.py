"""The rules by which a model is cut into slices [first, end) of its layers. Pure functions of its header."""
