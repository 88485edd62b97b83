"""Breaks a real service in every way that is known to happen, and checks what is left of it after each."""
