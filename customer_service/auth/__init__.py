"""Who calls and what the caller may do: tokens, keys, memberships and rate limits."""
