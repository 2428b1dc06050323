"""What a server of its kind can answer at most: applications that do a part of the work, or none."""
