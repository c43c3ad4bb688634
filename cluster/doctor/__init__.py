"""Looks for what keeps a cluster from working, or from working well: one line for each thing, with what to do."""
