"""Those whom the service is measured beside, each in a directory of its own with its own lock."""
