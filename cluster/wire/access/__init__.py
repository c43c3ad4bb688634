"""Who may speak to a port: proofs of a secret, and what becomes of those who have none."""
