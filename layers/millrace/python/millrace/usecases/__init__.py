"""What Millrace does for its callers, one module a concern, over the ports of the domain."""
