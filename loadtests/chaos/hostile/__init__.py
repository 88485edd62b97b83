"""Hostile clients: each attack runs beside a well-behaved client, which must not notice it."""

NAME = "hostile"
