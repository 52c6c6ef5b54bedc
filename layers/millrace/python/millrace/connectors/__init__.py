"""Adapters that move and change records: expressions, HTTP exports and imports, processes."""
