"""What steps cost on each stage, and the decisions that follow from it alone."""
