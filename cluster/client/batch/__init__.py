"""Several prompts at once: which are sent when, and how threads or tasks read what becomes of them."""
