"""Customers in and out of files: `commands` is what a shell sees of it, `files` and `formats` what a file is made of.

`importing` takes the rows of a file to `upserts`, with a `checkpoint` to go on from; `exporting` writes a list.
"""
