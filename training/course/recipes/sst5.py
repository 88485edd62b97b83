"""The same network, and the five grades of the treebank as its labels. Measured, not shipped."""

from training.recipes import sentiment_en
from training.tasks.recipe import derive
from training.tasks.sentiment import GRADES

recipe = derive(sentiment_en.treebank_recipe, "sst5", labels=GRADES, shipped=False)
