"""Programs as models: what a wrong file is told, and slices of a right one."""
