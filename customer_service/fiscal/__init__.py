"""The SAT's rules for the receiver of an invoice (CFDI 4.0) and its catalogues, as pure functions of plain values."""
