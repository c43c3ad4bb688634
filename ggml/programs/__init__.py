"""Programs: models that ``torch.export`` wrote down, as ggml runs them. Nothing here needs torch."""
