"""Adapters for what Millrace keeps: DynamoDB, S3 and Parameter Store, and twins in memory."""
