"""What an operator sees: the log, the metrics and the traces."""
