"""Authentication and authorization: tokens, signing keys, memberships and rate limits."""
