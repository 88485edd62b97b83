"""Sends mutated requests to a running service, beside a well-behaved client, and checks the answers to both."""
