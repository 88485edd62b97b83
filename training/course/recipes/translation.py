"""English to French: an encoder–decoder with attention over subwords, on the descriptions of Debian's packages."""

from training.course.models.translator import EncoderDecoderSizes
from training.course.tasks.translation import TranslationRecipe

recipe = TranslationRecipe(
    name="translation",
    description="Translates English descriptions of software into French",
    language="fr",
    licence="none: each text that it learns from is under the licence of its package",
    limits="Trained on the descriptions of Debian's packages: short, technical, impersonal.",
    corpus="debian_en_fr",
    subwords=4000,
    longest=30,
    epochs=18,
    batch_tokens=1000,
    learning_rate=3e-3,
    averaging=0.999,
    sizes=EncoderDecoderSizes(embedding=128, units=192, dropout=0.2),
    shipped=False,
)
