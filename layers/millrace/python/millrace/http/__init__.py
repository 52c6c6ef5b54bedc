"""The HTTP face: requests to use cases, results and errors to answers."""
