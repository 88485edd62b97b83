"""Shipped tokenizers: abbreviations and ordinal numbers end no sentence, pronouns are split from their verbs."""

import pytest

from tests.pipelines.test_tagging import tokenizer

SENTENCES = {  # with "|" between them
    "da": """
        Hr. Jensen er her. | Fr. Hansen kommer. | Dr. Berg er væk. | Prof. Lund underviser her. |
        Han kan lide frugt, f.eks. Æbler. | Det koster ca. 20 kr. i dag. | Æbler, pærer osv. er der. |
        Se s. 12 i bogen. | Nr. 5 vandt. | Kl. 10 begynder det. | Den 3. Oktober 1990 blev fejret. |
        Den 24. december kommer han. | Det var bl.a. København. | I det 19. århundrede var det så. |
        Skt. Hans fejres. | Christian 4. Byggede byen.
    """,
    "de": """
        Am 3. Oktober 1990 wurde es gefeiert. | Er kommt am 24. Dezember. | Das war im 19. Jahrhundert so. |
        Herr Dr. Müller ist da. | Prof. Schmidt lehrt in Berlin. | Er mag Obst, z.B. Äpfel. |
        Er mag Obst, z. B. Äpfel. | Die Fa. Meier liefert. | Siehe Nr. 5 der Liste. | Das kostet ca. 20 Euro. |
        Äpfel, Birnen usw. sind da. | Die St. Petersburger Philharmonie spielt. | Der 1. FC Köln hat gewonnen. |
        Kaiser Wilhelm II. war dort. | Das gilt d.h. immer. | Die Bundesrepublik, u.a. Bayern, stimmte zu. |
        Er wurde 1950 geb. Meier genannt. | Im Jahr 44 v. Chr. starb Caesar. | Das ist bzw. war richtig. |
        Die Temp. stieg auf max. 30 Grad.
    """,
    "en": """
        Mr. Smith is here. | Dr. Jones left. | Mrs. Brown and Ms. White came. | Prof. Lee teaches here. |
        He lives on Main St. 12 in Boston. | The U.S. Army came. | Acme Inc. Closed today. | St. Louis is big. |
        He came at 5 p.m. Friday. | It was Jan. 5 in 1990. | Gen. Grant and Lt. Dan left. | J. K. Rowling wrote it. |
        e.g. London is big. | It costs $20 incl. VAT. | See fig. 5 and Fig. 6, vol. 2. |
        It takes approx. 20 minutes.
    """,
    "es": """
        El Sr. García llegó tarde. | La Sra. López vive aquí. | El Dr. Pérez no está. |
        Vive en la Av. Libertador 25. | Llegó a EE. UU. en 1990. | Véase la pág. 12 del libro. |
        Son p. ej. Madrid y Sevilla. | La empresa Acme S.A. cerró. | Ud. sabe que no es así. | El núm. 5 ganó. |
        D. Juan y Dña. Ana vinieron. | Nació en el s. XIX en Cuba. | Pesa 20 kg. aproximadamente hoy. |
        El Prof. Ruiz enseña aquí. | Vino con la Dra. Gil.
    """,
    "fr": """
        M. Dupont est là. | Mme. Durand arrive. | Le Dr. Martin est parti. | Voir p. 12 du livre. |
        Il habite av. Foch à Paris. | Les fruits, p. ex. les pommes, etc. sont bons. |
        Au XIXe siècle, J.-J. Rousseau écrivit. | La société Acme S.A. a fermé. | MM. Dupont et Durand sont là. |
        St. Martin est une île. | Env. 20 personnes sont venues.
    """,
    "nl": """
        Dhr. Jansen is er. | Mevr. De Vries komt. | Dr. Bakker is weg. | Prof. Smit doceert hier. |
        Hij houdt van fruit, bijv. Appels. | Zie blz. 12 van het boek. | Het kost ca. 20 euro. |
        De heer J. Jansen kwam. | Appels, peren enz. zijn er. | Nr. 5 heeft gewonnen. | De firma Acme B.V. sloot. |
        St. Nicolaas komt. | Dat is o.a. Amsterdam. | Mr. Pieter van Vollenhoven sprak. |
        Ir. Cornelis Lely bouwde de dijk.
    """,
    "pt": """
        O Sr. Silva chegou tarde. | A Sra. Costa mora aqui. | O Dr. Pereira não está. | Mora na Av. Paulista 25. |
        Vive nos E.U.A. desde 1990. | Ver pág. 12 do livro. | São p. ex. Lisboa e Porto. |
        A empresa Acme S.A. fechou. | O n.º 5 ganhou. | D. Pedro e a Profa. Ana vieram. |
        O Prof. Souza ensina aqui. | A Dra. Gil veio. | O Eng. Rui falou. | Fica na R. Augusta 10.
    """,
    "sv": """
        Dr. Berg är borta. | Prof. Lind undervisar här. | Han gillar frukt, t.ex. Äpplen. |
        Det kostar ca. 20 kronor. | Se s. 12 i boken. | Det är bl.a. Stockholm. | Nr. 5 vann. | Hr. Olsson kom. |
        Kl. 10 börjar det. | S:t Eriks dag firas. | Det var f.d. Kungen. | Enl. Lag är det så.
    """,
}


@pytest.mark.parametrize("language", SENTENCES)
def test_no_sentence_ends_at_an_abbreviation_inside_of_it(language: str) -> None:
    split, texts = tokenizer(language).sentences, [text.strip() for text in SENTENCES[language].split("|")]
    assert [text for text in texts if len(split(text)) != 1] == []
    two = "  ".join(text.removesuffix(".") + "?" for text in texts[:2])
    assert len(split(two)) == 2


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("pt", "Chamo-me Ana e disse-lhe isto.", "Chamo me Ana e disse lhe isto ."),
        ("pt", "Amo-te!", "Amo te !"),
        ("pt", "Vou vê-los na segunda-feira.", "Vou vê los em a segunda-feira ."),
        ("pt", "O ex-presidente norte-americano sorriu.", "O ex-presidente norte-americano sorriu ."),
        ("es", "Quiero decirte algo y ayudarte.", "Quiero decir te algo y ayudar te ."),
        ("es", "Sigue dejándolo y negándoles todo.", "Sigue dejando lo y negando les todo ."),
        ("es", "Dime algo, llámame y dámelo.", "Di me algo , llama me y da me lo ."),
        ("fr", "Dis-lui tout et donne-le-moi.", "Dis -lui tout et donne -le -moi ."),
        ("pt", "Foi ao mercado, ao fim do dia.", "Foi a o mercado , a o fim de o dia ."),
        ("es", "Carlos habla de su arte, de su suerte y de su muerte.", ""),
    ],
)
def test_pronouns_are_words_apart_from_their_verbs(language: str, text: str, words: str) -> None:
    (sentence,) = tokenizer(language).sentences(text)
    assert " ".join(word.text for word in sentence.tokens) == (words or text.replace(".", " .").replace(",", " ,"))


def test_a_guillemet_behind_a_space_ends_the_sentence_that_it_closes() -> None:
    text = "Il a dit : « Je viens demain. » Puis il est parti. « Tu es sûr ? » demanda-t-elle. » Non."
    found = [text[sentence.start : sentence.end] for sentence in tokenizer("fr").sentences(text)]
    assert found[:2] == ["Il a dit : « Je viens demain. »", "Puis il est parti."]
    assert found[2] == "« Tu es sûr ? » demanda-t-elle."
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
