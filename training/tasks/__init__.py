"""The kinds of task: what the loop, the evaluation and the export need to know of each."""
