"""Tagging French by the recipes of English, unchanged, on the Sequoia treebank: it is not English alone."""

RUNGS = ("most_frequent", "bidirectional", "characters", "shipped")
