"""Native graphs of a program, kept for shapes that were recorded: what runs without rules, and without Python."""
