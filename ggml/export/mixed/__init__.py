"""Models that ggml runs in part: the parts it runs, and what torch runs between them."""
