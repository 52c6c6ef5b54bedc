"""The routes of the API, one module a resource; each parses, calls one use case, and answers."""
