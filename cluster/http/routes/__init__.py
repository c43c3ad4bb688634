"""Endpoints that answer in one piece, and the table of all of them."""
