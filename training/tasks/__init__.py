"""The tasks: tagging, classification, sentiment, language modelling, translation, captioning."""
