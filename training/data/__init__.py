"""Corpora, distillation sets, and the examples and batches that are made of them."""
