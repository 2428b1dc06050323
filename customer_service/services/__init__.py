"""The rules that span a schema, the fiscal rules and a repository."""
