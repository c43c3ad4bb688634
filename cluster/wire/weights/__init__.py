"""The service by which nodes give each other a model's weights."""
