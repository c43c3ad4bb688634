"""The operations of layers: activations, attention, normalisation, embeddings."""
