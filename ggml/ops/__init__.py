"""The rows of the table, one file for each kind of operation. Importing them fills it.

A new operation is one function with ``@op`` above it, in the file of its kind.
"""
