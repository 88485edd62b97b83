"""Spanish imperatives with pronouns, written as one word: "dime", "llámame", "dígaselo".

News has hardly any, so those of everyday verbs are made, with an accent where the stress comes to stand before the last
two syllables.
"""

import re
from itertools import product

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
    "suelta sujeta ten tenga termina tira toma tome trae traiga trata une usa vende vigila visita vuelve"
).split()
PRONOUNS = "la las le les lo los me nos se te".split()
TWO = tuple(product(("me", "nos", "se", "te"), ("la", "las", "lo", "los")))
_NUCLEUS = re.compile("[iu]?[aeo][iu]?|[iu]+")  # of a syllable without an accent
_ACCENTS = str.maketrans("aeiou", "áéíóú")


def imperatives() -> dict[str, tuple[str, ...]]:
    """Returns imperatives in lower case with their words."""
    endings = [*((one,) for one in PRONOUNS), *TWO]
    return {_stressed(verb, len(some)) + "".join(some): (verb, *some) for verb, some in product(VERBS, endings)}


def _stressed(verb: str, pronouns: int) -> str:
    """Returns a verb with the accent that it has before a number of pronouns."""
    syllables = list(_NUCLEUS.finditer(verb))
    last = syllables[-2:][0]
    if any(accent in verb for accent in "áéíóú") or (len(syllables) == 1 and pronouns == 1):
        return verb
    letters = last.group()
    at = last.start() + next((i for i, letter in enumerate(letters) if letter in "aeo"), len(letters) - 1)
    return verb[:at] + verb[at].translate(_ACCENTS) + verb[at + 1 :]
