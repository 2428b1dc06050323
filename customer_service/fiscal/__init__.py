"""The SAT's rules for the receiver of an invoice (CFDI 4.0), and its catalogues: pure functions over plain values."""
