"""Training of the models that the service serves: corpora, recipes, training, evaluation, export."""
