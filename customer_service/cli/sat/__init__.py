"""The round trip with the SAT's free bulk validator: customers out as text files, its answers back in.

`commands` has the two commands, `exporting` and `importing` the two ways, `receivers` what the SAT compares, and
`legends` what its answers mean. Anything else imports `commands` alone.
"""
