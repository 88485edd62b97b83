"""Models of one's own data: from a file to a version in the model store, without a recipe."""
