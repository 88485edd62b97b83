"""Tagging, from counting to the model that is shipped, on the English Web Treebank."""

RUNGS = (
    "most_frequent",
    "window",
    "sentence",
    "gru",
    "lstm",
    "bidirectional",
    "stacked",
    "dropout",
    "variational",
    "characters",
    "vectors",
    "shipped",
)
