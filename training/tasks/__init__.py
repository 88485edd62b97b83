"""The tasks: tagging, lemmatization, sentiment, language modelling."""
