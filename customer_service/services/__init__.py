"""Rules that combine a schema, the fiscal rules and a repository."""
