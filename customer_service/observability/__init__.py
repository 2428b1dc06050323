"""What an operator reads: the log, the metrics and the traces."""
