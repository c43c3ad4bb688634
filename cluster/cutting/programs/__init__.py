"""Programs of ggml as models: what their files say, checked, and their slices."""
