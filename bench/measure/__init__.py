"""Store the customers, start the targets, check that they do the same work, and measure them in interleaved rounds."""
