"""Breaks a real service in the ways that are known to happen, and checks it after each."""
