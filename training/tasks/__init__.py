"""The tasks: tagging, lemmatization, classification, sentiment, language modelling, translation, captioning."""
