"""Models of torchvision, timm, transformers and diffusers: their own classes, at small widths, with random weights."""
