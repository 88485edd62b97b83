"""Marks the fixed expressions and names of several words of Dutch train splits, as dev and test do.

The first word of "in plaats van" or of "De Witte Zwaan" has the part of speech of the whole, ADP or PROPN, in the
feature ExtPos. Train, which is made of older annotations, has it in one of three, and Alpino's parts nowhere. Which
words belong together is read from a treebank with the relations of the same sentences. "zowel" is a conjunction in dev,
in train an adverb.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from training.data.genders import NAME
from training.data.treebank import COLUMNS, PARAGRAPH, Tree, Word, attributes, with_attributes

EXTERNAL = "ExtPos"
EXPRESSIONS = {
    "ADP": (
        "aan bod; aan de dag; aan de gang; aan de hand van; aan de kaak; aan de orde; aan de stok; aan het hoofd; "
        "aan het licht; achter de rug; als gevolg van; bij machte; bij wijze van; de brui; door het leven; "
        "door middel van; in actie; in beeld; in beslag; in combinatie met; in conflict; in de fout; in de gaten; "
        "in de hand; in de loop van; in de persoon van; in de schoenen; in de smaak; in de wacht; in de weg; "
        "in duigen; in elkaar; in gebruik; in geval van; in het kader van; in het leven; in het nieuws; in het teken; "
        "in het werk; in kaart; in ogenschouw; in omloop; in ontvangst; in opdracht van; in opstand; in overleg met; "
        "in plaats van; in ruil voor; in samenspraak met; in samenwerking met; in staat; in tegenstelling tot; "
        "in verband; in verband met; in vergelijking met; met behulp van; met betrekking tot; met het oog op; "
        "met ingang van; met medewerking van; met uitzondering van; na afloop van; na verloop van; "
        "naar aanleiding van; om het leven; omwille van; onder aanvoering van; onder de indruk; onder handen; "
        "onder invloed van; onder leiding; onder leiding van; op basis van; op de been; op de hoogte; op de loer; "
        "op de markt; op de proppen; op de voet; op dreef; op gang; op grond van; op het gebied van; "
        "op het gevaar af; op het spoor; op initiatief van; op last van; op non-actief; op poten; op slot; "
        "op verdenking van; op verzoek van; op weg; op zak; te pakken; te pas; te voorschijn; te werk; "
        "tegen het lijf; temidden van; ten aanzien van; ten behoeve van; ten doel; ten gevolge van; ten noorden van; "
        "ten oosten van; ten opzichte van; ten overstaan van; ten tijde van; ten tonele; ten voordele van; "
        "ten westen van; ten zuiden van; ter beschikking; ter discussie; ter ere van; ter gelegenheid van; ter hand; "
        "ter hoogte van; ter vervanging van; ter voorbereiding op; ter waarde van; ter ziele; tot en met; tot leven; "
        "tot staan; tot stand; tot uitdrukking; tot uiting; uit de bus; uit de doeken; uit de hand; van kracht; "
        "van mening; van plan; van start; voor de dag; voor in de plaats; voor lief; voor schut"
    ),
    "ADV": (
        "af en toe; al dan niet; al of niet; bij voorbaat; dan ook; geleidelijk aan; heden ten dage; heinde en ver; "
        "her en der; het beste; het eerst; het meest; het minst; in feite; in plaats daarvan; in totaal; "
        "laag per laag; maar liefst; meer dan; met name; min of meer; minder dan; naar schatting; niet alleen; "
        "nou eenmaal; nu eenmaal; onder andere; onder anderen; onder meer; oog in oog; op basis daarvan; "
        "op grond daarvan; stuk voor stuk; ten hoogste; ten minste; ten slotte; ten volle; ter gelegenheid hiervan; "
        "tot dusver; tot dusverre; uit den treure; van harte; van tijd tot tijd; vandaag de dag; voor het eerst"
    ),
    "CCONJ": "en dergelijke; et cetera",
    "SCONJ": "dat wil zeggen; laat staan; te weten; voor zover; zo niet; zo ook",
}
MONTHS = "januari februari maart april mei juni juli augustus september oktober november december".split()
_EXTERNAL = {expression: upos for upos, some in EXPRESSIONS.items() for expression in some.split("; ")}
_FIXED, _FLAT = "fixed", "flat"  # relations of the words of an expression to its first one
_Group = tuple[str, tuple[int, ...]]  # the relation, and the words from the first one on, from 0


def marked(trees: Sequence[Tree], older: Iterable[str]) -> list[Tree]:
    """Returns sentences with ExtPos where a fixed expression or a name of several words begins, and "zowel" corrected.

    Dates, and names all of whose words are PROPN, have none. Sentences that no text has stay as they are.

    Args:
        older: texts in CoNLL-U with heads and relations, of the same sentences.
    """
    groups = {forms: found for text in older for forms, found in _groups(text)}
    return [replace(tree, words=_marked(tree, groups.get(_forms(tree.forms), ()))) for tree in trees]


def _marked(tree: Tree, groups: Iterable[_Group]) -> tuple[Word, ...]:
    words = list(map(_with_conjunction, tree.words))
    for relation, members in groups:
        first = members[0]
        if external := _external(relation, [words[i].form for i in members], {words[i].upos for i in members}):
            words[first] = with_attributes(words[first], {**attributes(words[first]), EXTERNAL: external})
    return tuple(words)


def _with_conjunction(word: Word) -> Word:
    return word._replace(upos="CCONJ") if word.upos == "ADV" and word.form.lower() == "zowel" else word


def _external(relation: str, forms: Sequence[str], tags: set[str]) -> str:
    """Returns the part of speech of the whole; "" if it has none."""
    lower = [form.lower() for form in forms]
    if found := _EXTERNAL.get(" ".join(lower)):
        return found
    if tags == {NAME} or not set(lower).isdisjoint(MONTHS):
        return ""
    capitals = any(form[0].isupper() for form in forms)
    return NAME if relation == _FLAT or capitals else ""


def _groups(text: str) -> Iterator[tuple[tuple[str, ...], list[_Group]]]:
    """Yields the forms of each sentence with its expressions and names."""
    for block in text.split(PARAGRAPH):
        lines = (line.split("\t") for line in block.split("\n"))
        rows = [dict(zip(COLUMNS, cells, strict=True)) for cells in lines if cells[0].isdecimal()]
        members = defaultdict[tuple[str, int], list[int]](list)
        for i, row in enumerate(rows):
            relation, _, _ = row["DEPREL"].partition(":")
            if relation in {_FIXED, _FLAT}:
                members[relation, int(row["HEAD"]) - 1].append(i)
        groups = [(relation, tuple(sorted([head, *some]))) for (relation, head), some in members.items()]
        yield _forms(row["FORM"] for row in rows), groups


def _forms(forms: Iterable[str]) -> tuple[str, ...]:
    """Returns forms without "_", which stands in place of a space in some texts."""
    return tuple(form.replace("_", "").replace(" ", "") for form in forms)
