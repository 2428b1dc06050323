"""The import and the export of customers.

`commands` has the commands of a shell. `files` opens a file, and `formats` reads and writes its `rows`. `sheets` reads
a CSV as spreadsheets save it: its `encodings`, `columns` and `cells`. `importing` passes the rows to `upserts`, with a
`checkpoint` to resume from, and `rejects` keeps the refused ones. `exporting` writes a list.
"""
