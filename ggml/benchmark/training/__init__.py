"""Steps of training beside torch."""
