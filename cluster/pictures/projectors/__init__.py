"""Kinds of projectors: for each family a file, with what has to be known of an mmproj file before mtmd sees it."""
