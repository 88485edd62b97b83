"""Sentiment, from a bag of words to the model that is shipped, on the Stanford Sentiment Treebank."""

RUNGS = ("bag_of_words", "last_state", "lengths", "gru", "bidirectional", "stacked", "attention", "shipped")
