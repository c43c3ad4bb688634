"""What was found by a bench, as tables, a document, a plot and JSON."""
