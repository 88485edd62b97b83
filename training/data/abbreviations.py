"""Abbreviations that keep their full stop as part of the token, and after which a sentence seldom ends."""

import re
from collections.abc import Collection, Mapping

# Of spaCy's exceptions, which have words as well ("min." is "my" in Swedish), those count that cannot be a word.
NO_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)+\.|[^\W\d_aeiouyäöüåæøáéíóúàèùâêîôûãõ]{2,}\.")
STREETS = (
    "ahorn amsel bach bahnhof beethoven berg birken blumen buchen dorf eichen feld finken friedhof "
    "friedrich garten goethe haupt hoch industrie jahn kirch könig lessing linden markt mittel mozart "
    "mühlen neu park post ring rosen schiller schloss schul sonnen stein tal ufer wald wiesen wilhelm"
).split()
BY_LANGUAGE = {  # whose stems are no words of the language
    "da": "ca. ekskl. etc. evt. fhv. fig. frk. iflg. inkl. jf. kap. maks. nov. okt. osv. prof. skt. vedr.",
    "de": (
        "abb. abs. aufl. aug. bes. ca. dez. dipl. ehem. etc. ev. evtl. exkl. fa. fam. feb. geb. gem. gest. ing. "
        "inkl. kap. kath. max. med. min. mio. nat. nov. okt. phil. prof. rer. sept. sog. tab. tel. temp. univ. "
        "usf. usw. zit. " + " ".join(f"{one}str." for one in STREETS)
    ),
    "en": (
        "approx. apr. aug. ave. capt. cf. co. col. corp. dec. dept. eds. etc. feb. fig. figs. gen. gov. hon. inc. "
        "lt. maj. nov. oct. pp. prof. rep. rev. sen. sept. sgt. univ. vol. vs."
    ),
    "es": (
        "apdo. aprox. art. av. avda. cap. cía. dra. dña. ee. ej. etc. fig. gral. ing. lic. mons. núm. prof. "
        "profa. pte. pág. págs. sra. srta. tel. ud. uds. uu. vol."
    ),
    "fr": ("av. chap. coll. déc. env. etc. ex. fig. févr. hab. janv. juill. mlle. mme. nov. oct. réf. ste. tél. éd."),
    "nl": (
        "afb. afd. apr. aug. bijv. blz. ca. dec. dhr. drs. ds. enz. etc. evt. excl. fam. feb. hfst. incl. ing. "
        "ir. mevr. nov. okt. prof. prov. resp. sept. tel. zgn."
    ),
    "pt": (
        "aprox. arq. art. av. cap. cel. dra. ee. eng. etc. ex. exma. exmo. fig. gen. jr. ltda. núm. pe. prof. "
        "profa. pág. págs. sra. srta. sta. sto. tel. uu. vol."
    ),
    "sv": (
        "ca. dec. dr. enl. etc. ev. exkl. febr. fig. forts. hr. inkl. jfr. kap. kungl. nov. nr. okt. osv. prof. "
        "resp. sid. tel. äv."
    ),
}
# A sentence may end after these, as after an abbreviation of several letters, such as "p.m.", or of one.
LAST = frozenset(
    "bros. chr. co. corp. enz. etc. hbf. inc. jh. jr. kr. ltd. ltda. mfl. mv. osv. sr. str. usf. usw.".split()
)
# The numbers with a full stop that are ordinal ones: "am 3. Oktober".
ORDINALS = frozenset("cs da de et fi fo hr hu is lv nb nn no sk sl sr tr".split())


def abbreviations(language: str, exceptions: Mapping[str, Collection[str]]) -> dict[str, bool]:
    """Returns abbreviations in lower case, and whether a sentence may end after them.

    Args:
        language: the primary language of a tag of BCP 47, such as "de".
        exceptions: of spaCy's tokenizer for it: chunks and their tokens.
    """
    whole = (chunk.lower() for chunk, tokens in exceptions.items() if len(tokens) == 1)
    found = {chunk for chunk in whole if NO_WORD.fullmatch(chunk)}
    parts = {part for one in found for part in re.findall(r"\w+\.", one)}  # of "z. B."
    found |= {part for part in parts if len(part) == 2 or NO_WORD.fullmatch(part)}
    found |= set(BY_LANGUAGE.get(language, "").split())
    if language in ORDINALS:
        found |= {f"{number}." for number in range(1, 32)}
    return {one: _may_end(one) for one in sorted(found)}


def _may_end(one: str) -> bool:
    """Returns whether a sentence may end after an abbreviation."""
    return one in LAST or one.endswith("str.") or one.count(".") > 1 or (len(one) == 2 and one[0].isalpha())
