"""Corpora of other languages than English: treebanks of Universal Dependencies, and plain text for teachers.

The files with the official train splits of most treebanks are larger than what public stores of their repositories
have. Where `train` is "mapped", it has the published forms, lemmas and UniMorph tags of SIGMORPHON 2018 and 2019
(McCarthy et al. 2018), turned into UPOS and features by classifiers that have learned from the sentences of dev that
stand in both; the treebank's entry says how many words of test such a mapping has right.
"""

from typing import NamedTuple

from training.data.download import File

SIGMORPHON = "https://github.com/sigmorphon/2019/tree/8e6abdb40549/task2"
VOICE = "https://github.com/common-voice/common-voice/tree/e0bfbc4be9eb6a97f7dd92eb938200f09f04ba96/server/data"


class Treebank(NamedTuple):
    """A treebank: its repository, the commit, the beginning of its files' names; each split's size and checksum.

    `mapped` says how well the mapping of train agrees with test; "" for a train split as published.
    """

    title: str
    folder: str
    licence: str
    citation: str
    repository: str
    commit: str
    prefix: str
    splits: dict[str, tuple[int, str]]
    mapped: str = ""

    def files(self) -> dict[str, File]:
        """Returns the files of the splits."""
        found = {}
        for split, (size, sha256) in self.splits.items():
            raw = f"https://raw.githubusercontent.com/UniversalDependencies/{self.repository}/{self.commit}"
            name, address, by_hand = f"{split}.conllu", f"{raw}/{self.prefix}-ud-{split}.conllu", ""
            if split == "train" and self.mapped:
                name, address = "train_mapped.conllu", SIGMORPHON
                by_hand = f"the tags mapped to those of dev, agreement with test: {self.mapped}"
            elif split == "train" and self.repository == "UD_Portuguese-Bosque":
                address = (
                    f"https://github.com/UniversalDependencies/{self.repository}/tree/{self.commit}/not-to-release"
                )
                by_hand = "documents/*.conllu in the order of pt_bosque-ud-train.txt, XPOS replaced by _"
            found[split] = File(name=name, address=address, size=size, sha256=sha256, by_hand=by_hand)
        return found


TREEBANKS = {
    "bosque": Treebank(
        "Universal Dependencies Portuguese Bosque",
        "ud_pt_bosque",
        "CC BY-SA 4.0",
        "Rademaker et al. (2017), Universal Dependencies for Portuguese, Depling",
        "UD_Portuguese-Bosque",
        "5de7ac34028f",
        "pt_bosque",
        {
            "train": (11_291_250, "b56d7124af821e2968302c38298904ec67af342304a33ae8a9dc4fa57df89648"),
            "dev": (1_873_903, "f8a67abae12fbab85a3995204a6459d1958c11065062d4ea5349d6b914e78f81"),
            "test": (1_819_980, "9a824650b7a02cf411f6e09b39e8fb423c85e1a5fb3a55b87e7f4c0c2ea5b3bb"),
        },
    ),
    "ancora": Treebank(
        "Universal Dependencies Spanish AnCora",
        "ud_es_ancora",
        "CC BY 4.0",
        "Taulé et al. (2008), AnCora: Multilevel Annotated Corpora for Catalan and Spanish, LREC",
        "UD_Spanish-AnCora",
        "642d3bc39e95",
        "es_ancora",
        {
            "train": (5_693_797, "f794aa05ed19dd3c6c437e6b7a6cf48fcdfa3dfb42106f22263f3e93be17e6f2"),
            "dev": (3_691_317, "1602ff81115efb48c38dc5f3344f2d7905f74cef5934b5df4607ed0e8307f6dd"),
            "test": (3_712_661, "9453e9192fabda85eefecb0ff482a1fbf72b97623dfb6cf1cb2469264fea741a"),
        },
        "99.71 % UPOS, 99.13 % features, 99.97 % lemmas",
    ),
    "gsd_de": Treebank(
        "Universal Dependencies German GSD",
        "ud_de_gsd",
        "CC BY-SA 4.0",
        "McDonald et al. (2013), Universal Dependency Annotation for Multilingual Parsing, ACL",
        "UD_German-GSD",
        "297fcf350481",
        "de_gsd",
        {
            "train": (7_726_246, "68138bb50509d10aea4f1d3fcf1da62b7627d1a558c3f9842adb3a86f8981871"),
            "dev": (904_804, "00431f2624cbbf66796c097a9303bbc8f8e8ca88ef35c4c5664aa396b2d674c9"),
            "test": (1_207_783, "bceb8e867ba3ee7f1449d44fb31538d63a514f07e6763e7d9a5ffe794407bed4"),
        },
        "97.96 % UPOS, 94.26 % features, 99.34 % lemmas",
    ),
    "lassysmall": Treebank(
        "Universal Dependencies Dutch LassySmall",
        "ud_nl_lassysmall",
        "CC BY-SA 4.0",
        "Bouma and van Noord (2017), Increasing return on annotation investment, NoDaLiDa",
        "UD_Dutch-LassySmall",
        "7880e0bc4c81",
        "nl_lassysmall",
        {
            "train": (5_064_869, "0d5abb38ec857e0a37aa7b337850599014115bf35c9469edb4de7804b4467048"),
            "dev": (2_494_508, "5e756efff04efc3f410778dab0d0a2c151b1d1507c98a054af7fc208e722f458"),
            "test": (2_604_301, "26e0e40c67e80fbe9f905fb1fe952dc609bd6c1a6c82dbcb3079ae474a01e8f3"),
        },
        "97.69 % UPOS, 97.68 % features, 93.95 % lemmas",
    ),
    "talbanken": Treebank(
        "Universal Dependencies Swedish Talbanken",
        "ud_sv_talbanken",
        "CC BY-SA 4.0",
        "Nivre and Megyesi (2007), Bootstrapping a Swedish treebank using cross-corpus harmonization, TLT",
        "UD_Swedish-Talbanken",
        "30067217d275",
        "sv_talbanken",
        {
            "train": (5_234_827, "9dd2f3c6b45b2ecc69eede03adca3169e173deae1f0036cedd2e4bf83ed2df4b"),
            "dev": (863_506, "31917fc04cfe9ef7ce8c11ed8570b739a0cefdcda5e06ff93207e6d84f37117b"),
            "test": (1_802_467, "b8909c4f5f2c64b3cee251de7004fa293717d309e54ca59d149a61d75e8571d7"),
        },
        "99.20 % UPOS, 97.80 % features, 98.37 % lemmas",
    ),
    "ddt": Treebank(
        "Universal Dependencies Danish DDT",
        "ud_da_ddt",
        "CC BY-SA 4.0",
        "Johannsen et al. (2015), Universal Dependencies for Danish, TLT",
        "UD_Danish-DDT",
        "85faf86dc39f",
        "da_ddt",
        {
            "train": (4_960_452, "c65435cec30400a62d5d7a8cbf58a1c32e1afa3780b8dc205a154e852818beb2"),
            "dev": (660_002, "d714b22776ad60fbdb6e4ffc15a5c3ffc162705617567d3cf2b09cc6b51e800a"),
            "test": (639_330, "2232ee43dcd35dba32b476534d230edf1aa26d4bd830813f452fd829c276f737"),
        },
        "99.18 % UPOS, 99.50 % features, 100.00 % lemmas",
    ),
    "markit": Treebank(
        "Universal Dependencies Italian MarkIT, essays of students",
        "ud_it_markit",
        "CC BY 4.0",
        "Paccosi et al. (2023), MarkIT: A Treebank of Marked Constructions in Italian, CLiC-it",
        "UD_Italian-MarkIT",
        "b01ee41ef48d",
        "it_markit",
        {
            "train": (1_266_080, "4f6fc3423acb00d49e1e167bd21b11ebbc23e22275fd6f5eeb4d75cfbbccc5c6"),
            "dev": (665_430, "633b6186f47ecfebfcff4ff9c7e19a0cbffd1f655f14fc1e9265b12bda597f97"),
            "test": (658_412, "9048ed0064e3989e2c37377755a28c25c7e462b1ad916e5808dc0a7ce95fc3fc"),
        },
    ),
    "gsd_fr": Treebank(
        "Universal Dependencies French GSD, about 43 % of its train split",
        "ud_fr_gsd",
        "CC BY-SA 4.0",
        "McDonald et al. (2013), Universal Dependency Annotation for Multilingual Parsing, ACL",
        "UD_French-GSD",
        "830e2782304a",
        "fr_gsd",
        {
            "train": (8_578_201, "36289e89597d986a04ed3607cd612a122e21073a42be47ce5d8f2eb23e8aaf2f"),
            "dev": (2_316_421, "3e7531b645e5bd6fe37bb619cdd8292e87f5937e64cd8627b4094324eb830e6b"),
            "test": (652_793, "5d1743c7a9ce2908943d4a430ed9a77755e2a8d7e32d42ee0f1d6a0b528f0be8"),
        },
        "98.80 % UPOS, 96.38 % features, 99.19 % lemmas",
    ),
}

VOICES = {  # sentences to read aloud, by language
    "da": (106_969, "581daeb3f3415efa576d091bbde9e697e0a9cd01031a7048764c445ff508e1ac"),
    "de": (2_150_201, "d23f81b85957bc61fcd08f76ce8fbfc77a73abfeed3b1057b14c4ba6a2d668bd"),
    "es": (810_443, "9c95e3460058d68598ed73b0485baf47750f2f649bedd8252e245eeaaf4fc446"),
    "fr": (12_546_240, "448c3cd8259446cf2c5beaccc161e2093f103c587d552a10838775b57cc007f2"),
    "it": (1_876_333, "f548184642b3a06bc8ae81c6742d85e3d642fc5ac220f10204b3cf9b15392114"),
    "nl": (1_328_642, "955b365fe5ae6635077eeeb9b68da06ab189cc2c37524edfb860c8ce06adeba7"),
    "pt": (2_368_791, "968c78f50c7dae4f93081f99e93e191c1805d8bd545b554a008a7505c21efe48"),
    "sv": (621_519, "bfd04d33da8248e9ae8892b37acfe4351e060d94d007132fc28b71627e2bcf76"),
}


def voice(language: str, by_hand: str) -> File:
    """Returns the file with the sentences of a language."""
    size, sha256 = VOICES[language]
    return File(name=f"{language}.txt", address=f"{VOICE}/{language}/", size=size, sha256=sha256, by_hand=by_hand)
