"""Whether the split model computes what the whole one does: each side in processes of its own, row by row."""
