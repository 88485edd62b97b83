"""Language, from counting characters to the model that is shipped, on Tiny Shakespeare."""

RUNGS = ("markov_chain", "simple", "unitary", "minimal", "lstm", "stacked", "dropout", "shipped")
