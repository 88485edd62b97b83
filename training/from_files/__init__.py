"""Makes models from a user's files: from a file to a version in the model store, without a recipe."""
