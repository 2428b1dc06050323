"""The marshmallow schemas: `documents` serializes stored documents, `inputs` validates what callers send."""
