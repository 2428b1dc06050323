"""The marshmallow schemas: stored documents to what is answered, and what callers send to findings."""
