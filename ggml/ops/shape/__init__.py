"""Other looks at the same elements, and tensors side by side."""
