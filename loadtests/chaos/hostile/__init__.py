"""Hostile clients: each attack runs beside a well-behaved client, whose answers must not be late."""

NAME = "hostile"
