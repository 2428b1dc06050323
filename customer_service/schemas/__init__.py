"""The marshmallow schemas: `outputs` serializes stored documents, `inputs` validates what callers send."""
