"""Domains: sentiment of six kinds of text, from film reviews alone to all kinds and a transformer's answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np

from service.artifact.manifest import DataSource, Metric
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import Vocabulary
from training.course.ladders import Ladder, Rung
from training.data.dataset import Array
from training.data.splits import sample
from training.metrics.scores import percent, percentages
from training.models.sentiment import SentimentSizes
from training.recipes import sentiment_en
from training.tasks.base import Predict
from training.tasks.recipe import TeacherSettings
from training.tasks.sentiment import Sentiment, SentimentRecipe, Splits

KINDS = {
    "sst": "film reviews",
    "goemotions": "comments",
    "senti4sd": "posts of programmers",
    "product_reviews": "product reviews",
    "newsmtsc": "news",
    "everyday": "everyday sentences",
}
MEAN = "mean accuracy"
COMMENTS = {"goemotions": 1.0}
POSTS = COMMENTS | {"senti4sd": 1.0}
PRODUCTS = POSTS | {"product_reviews": 1.0, "pros_cons": 1.0}
NEWS = PRODUCTS | {"newsmtsc": 1.0}
EVERYDAY = NEWS | {"everyday": 1.0}


@dataclass(frozen=True, kw_only=True)
class DomainsRecipe(SentimentRecipe):
    """Settings of a classifier that is measured on all KINDS of text, whichever of them it learns from.

    Attributes:
        texts: of each further corpus that are learned from, chosen at random.
    """

    texts: int = 2000

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Domains":
        splits, data, learned = self.splits()
        further = {
            name: found | {"train": sample(found["train"], self.texts, seed=0)} for name, found in learned.items()
        }
        for name in set(KINDS) - {self.corpus, *learned}:
            further[name] = self.read(name, Tokenizer()) | {"train": []}
        return Domains(self, splits, data, vocabularies, further)


class Domains(Sentiment):
    """Sentiment of texts, measured by the accuracy of three labels on each kind of text and on all of them alike."""

    def __init__(
        self,
        recipe: DomainsRecipe,
        splits: Splits,
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None,
        further: Mapping[str, Splits],
    ) -> None:
        super().__init__(recipe, splits, data, vocabularies, further)
        self.chosen_by = MEAN

    def figures(self, probabilities: Mapping[str, Array], split: str) -> tuple[Metric, ...]:
        right = {KINDS[name]: percent(found) for name, found in self._right(probabilities, split).items()}
        return percentages({MEAN: round(mean(right.values()), 2)} | right, split)

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        right = self._right(self.probabilities(predict, split), split)
        sizes = np.concatenate([np.full(len(found), 1 / len(found)) for found in right.values()])
        return 100 * sizes * np.concatenate(list(right.values())), sizes

    def _right(self, probabilities: Mapping[str, Array], split: str) -> dict[str, Array]:
        """Returns which texts of each kind have the right label, bool, shape [N]."""
        gold = self.gold(split)
        return {name: probabilities[name].argmax(-1) == gold[name] for name in KINDS}


reviews = Rung(
    "reviews",
    "Film reviews alone",
    DomainsRecipe(
        name="domains-reviews",
        description="A rung of the ladder of domains",
        language="en",
        licence="MIT",
        limits="Made to be compared with the rungs beside it.",
        corpus="sst",
        limit=1000,
        shift=0.8,
        longest=60,
        epochs=8,
        batch_tokens=768,
        learning_rate=2e-3,
        clip_norm=1.0,
        averaging=0.995,
        distillation_tokens=300_000,
        teaching=TeacherSettings(
            encoder="multilingual",
            epochs=2,
            encoder_rate=1e-4,
            unlabelled_tokens=600_000,
            further_text=("goemotions",),
        ),
        shipped=False,
        sizes=SentimentSizes(embedding=100, units=64),
    ),
)
comments = reviews.then("comments", "Comments, too", further=COMMENTS)
posts = comments.then("posts", "Posts of programmers, too", further=POSTS)
products = posts.then("products", "Product reviews, pros and cons, too", further=PRODUCTS)
news = products.then("news", "News, too", further=NEWS)
everyday = news.then("everyday", "Everyday sentences, too", further=EVERYDAY)
statements = everyday.then(
    "statements",
    "Sentences that state, ask or instruct, too, all neutral",
    statements={"kjv_sicp/sicp": 2000, "dialogue/clinc150": 2000},
)
taught = statements.then("taught", "The answers of a transformer that has read the same", teacher="domains-statements")
shipped = taught.shipped(
    replace(taught.recipe, name=sentiment_en.recipe.name, sizes=sentiment_en.recipe.sizes, teacher=None)
)

LADDER = Ladder((reviews, comments, posts, products, news, everyday, statements, taught, shipped), rates=(2e-3,))
