"""What every route shares: requests, responses, problems, and the OpenAPI document."""
