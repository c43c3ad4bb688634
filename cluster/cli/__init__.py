"""The command line: one small module per verb. Parsing is cheap; what a verb needs is imported when it runs.

Importing this package imports nothing else, so that `cluster.cli.entry` can get hold of Ctrl-C first.
"""
