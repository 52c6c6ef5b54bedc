"""What Millrace is about: flows, versions, steps, runs, and the rules they keep.

Pure: neither boto3 nor Powertools is imported here; adapters implement the ports of `ports.py`.
"""
