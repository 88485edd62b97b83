"""The tasks of models that are served: tagging, classification, sentiment, language modelling."""
