"""Serves part-of-speech tags, sentiment and generated text over HTTP, from recurrent networks."""
