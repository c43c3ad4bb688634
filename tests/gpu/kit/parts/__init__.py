"""What the kit tries, a file for each subject. Each has `cases`; the libraries that open a device are imported late."""
