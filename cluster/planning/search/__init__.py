"""Which stage runs where, and where the layers are cut: exact searches without side effects."""
