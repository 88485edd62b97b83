"""Spanish verbs with pronouns, written as one word: "dime", "dígaselo", "llámenme", "vámonos", "decírselo".

News has hardly any imperatives, so imperatives of everyday verbs are made, with an accent where the stress comes to
stand before the last two syllables, and few verbs with two pronouns.
"""

import re
from itertools import product

from service.text.segmenter import LONGEST_ENDING

VERBS = (
    "abra abre acepta acompaña acuerda adelanta agarra aguanta alcanza anima anota apaga apunta arregla asegura "
    "avisa avise ayuda ayude baja bebe borra busca busque calla calma cambia cambie canta cierra cierre coge come "
    "comenta compra conecta confirma confirme contesta conteste corrige corta cree cuelga cuenta cuente cuida da "
    "deja deje descarga devuelva devuelve di diga disculpa disculpe elige empieza encarga encuentra enseña "
    "entrega envía envíe escriba escribe escucha escuche espera espere explica explique fija firma guarda habla "
    "haga haz imagina informe invita lava lee levanta llama llame llena lleva lleve manda mande mantenga marca "
    "mete mira mire muestra muestre olvida oye paga pasa pase pega perdona perdone permita permite pida pide pon "
    "ponga pregunta pregunte prepara presente presta prueba queda quede quita quite recoge recuerda recuerde "
    "recupera regala repara repite reserva responda responde revisa revise saca sienta siente siga sigue sube "
    "suelta sujeta ten tenga termina tira toma tome trae traiga trata une usa vaya ve vende venga vigila visita vuelve "
    "abran acompañen avisen ayuden busquen cambien cierren coman comuniquen confirmen contacten crean cuenten "
    "cuiden dejen den devuelvan digan disculpen envíen escriban escuchen esperen expliquen hagan imaginen "
    "informen lleven llamen manden miren muestren olviden pasen perdonen permitan pidan pongan pregunten prueben "
    "queden quiten recuerden respondan sienten sigan suban tengan tomen traigan vayan vean"
).split()
FIRST_PLURAL = {"vámonos": ("vamos", "nos"), "sentémonos": ("sentemos", "nos"), "veámonos": ("veamos", "nos")}
PRONOUNS = "la las le les lo los me nos se te".split()
TWO = tuple(product(("me", "nos", "se", "te"), ("la", "las", "lo", "los")))
_NUCLEUS = re.compile("[iu]?[aeo][iu]?|[iu]+")  # of a syllable without an accent
_ACCENTS = str.maketrans("aeiou", "áéíóú")


def endings() -> dict[str, tuple[str, ...]]:
    """Returns the ends of infinitives and gerunds with two pronouns, and what stands there without the accent.

    Endings that are longer than a tokenizer reads are left out.
    """
    stems = {"ár": "ar", "ér": "er", "ír": "ir", "ándo": "ando", "iéndo": "iendo", "yéndo": "yendo"}
    found = {accented + "".join(two): (stem, *two) for (accented, stem), two in product(stems.items(), TWO)}
    return {ending: words for ending, words in found.items() if len(ending) <= LONGEST_ENDING}


def imperatives() -> dict[str, tuple[str, ...]]:
    """Returns imperatives in lower case with their words."""
    pronouns = [*((one,) for one in PRONOUNS), *TWO]
    made = {_stressed(verb, len(some)) + "".join(some): (verb, *some) for verb, some in product(VERBS, pronouns)}
    return FIRST_PLURAL | made


def _stressed(verb: str, pronouns: int) -> str:
    """Returns a verb with the accent that it has before a number of pronouns."""
    syllables = list(_NUCLEUS.finditer(verb))
    last = syllables[-2:][0]
    if any(accent in verb for accent in "áéíóú") or (len(syllables) == 1 and pronouns == 1):
        return verb
    letters = last.group()
    at = last.start() + next((i for i, letter in enumerate(letters) if letter in "aeo"), len(letters) - 1)
    return verb[:at] + verb[at].translate(_ACCENTS) + verb[at + 1 :]
