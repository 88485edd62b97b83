// The example texts of each panel: [title, form fields]; those of Tag by language.

const STORY =
  "The ferry was late again, so Mara bought a coffee she didn't want and sat on her suitcase. Two boys were fishing off " +
  "the pier; neither had caught anything since morning. \"You'll see,\" said the older one, \"they bite when it rains.\" It " +
  "rained. Nothing bit. By the time the boat finally appeared, a grey thumbprint on a grey sea, she'd learned their names, " +
  "lost three games of cards and decided that the island could wait until tomorrow.";

export const EXAMPLES = {
  tag: {
    en: [
      ["Contractions", { text: "She didn't see it coming. They'd've left by now, wouldn't they?" }],
      ["Garden paths", { text: "Time flies like an arrow; fruit flies like a banana. The old man the boats. Can you can a can as a canner can can a can?" }],
      ["News", { text: "On Tuesday, Dr. Amara Osei of the University of Ghana told Reuters that 37% of the U.S. harvest had failed. Prices rose to $4.20 a pound." }],
      ["Chat", { text: "omg @lena did u see https://example.org/cats ??? sooo cute :-) gonna show my bro tmrw" }],
      ["A story", { text: STORY }],
    ],
    fr: [
      ["Élisions", { text: "Je n'ai pas vu qu'il s'en allait. Qu'est-ce que c'est que ça ?" }],
      ["Doubles sens", { text: "La petite brise la glace. Les poules du couvent couvent." }],
      ["Actualités", { text: "Mardi, la maire de Lyon a annoncé que 37 % des lignes du réseau seraient fermées jusqu'au 5 mai." }],
    ],
    de: [
      ["Trennbare Verben", { text: "Sie rief gestern ihre Schwester an und lud sie zum Essen ein." }],
      ["Fliegen", { text: "Wenn Fliegen hinter Fliegen fliegen, fliegen Fliegen Fliegen nach." }],
      ["Nachrichten", { text: "Am Dienstag teilte die Stadt Köln mit, dass 37 % der Buslinien bis zum 5. Mai ausfallen." }],
    ],
    es: [
      ["Pronombres", { text: "Dámelo cuando puedas: quiero leértelo antes de irme." }],
      ["Dobles sentidos", { text: "Nada como nada en el mar. El cura no cura a nadie." }],
      ["Noticias", { text: "El martes, la alcaldesa de Sevilla anunció que el 37 % de las líneas cerrará hasta el 5 de mayo." }],
    ],
    pt: [
      ["Pronomes", { text: "Diga-me quando puder; queria lê-lo antes de me ir embora." }],
      ["Duplos sentidos", { text: "Eu como como sempre como. Quem canta no canto encanta." }],
      ["Notícias", { text: "Na terça-feira, a prefeita de Recife anunciou que 37% das linhas fecharão até 5 de maio." }],
    ],
    nl: [
      ["Scheidbare werkwoorden", { text: "Ze belde gisteren haar zus op en nodigde haar uit voor het eten." }],
      ["Vliegen", { text: "Als achter vliegen vliegen vliegen, vliegen vliegen vliegen achterna." }],
      ["Nieuws", { text: "Dinsdag meldde de gemeente Utrecht dat 37% van de buslijnen tot 5 mei uitvalt." }],
    ],
    sv: [
      ["Partikelverb", { text: "Hon slog på lampan och läste ut boken." }],
      ["Får", { text: "Får får får? Nej, får får inte får, får får lamm." }],
      ["Nyheter", { text: "I tisdags meddelade Göteborgs stad att 37 % av busslinjerna ställs in till den 5 maj." }],
    ],
    da: [
      ["Partikelverber", { text: "Hun slog lyset til og læste bogen ud." }],
      ["Får", { text: "Far, får får får? Nej, får får ikke får, får får lam." }],
      ["Nyheder", { text: "I tirsdags meddelte Aarhus Kommune, at 37 % af buslinjerne er indstillet til den 5. maj." }],
    ],
  },
  classify: [
    ["Praise", { text: "A warm, funny, engaging film." }],
    ["Negation", { text: "Not a bad film, but not a good one either." }],
    ["Mixed", { text: "The acting is superb and the photography gorgeous. But the plot is a mess, and the ending is an insult. I would still see it again." }],
    ["Scathing", { text: "A dull, lifeless mess that wastes a talented cast on the worst script of the year." }],
  ],
  generate: [
    ["Romeo", { prompt: "ROMEO:", temperature: 0.7, max_tokens: 400, top_p: 1, top_k: 0, n: 1, seed: "", stop: "" }],
    ["One line", { prompt: "KING HENRY:\n", temperature: 0.6, max_tokens: 200, top_p: 1, top_k: 0, n: 1, seed: "", stop: "\\n\\n" }],
    ["Three texts", { prompt: "To be, or not to be", temperature: 0.8, max_tokens: 160, top_p: 0.95, top_k: 0, n: 3, seed: 7, stop: "" }],
    ["Most probable", { prompt: "First Citizen:\n", temperature: 0, max_tokens: 300, top_p: 1, top_k: 0, n: 1, seed: "", stop: "" }],
    ["High temperature", { prompt: "JULIET:\nO ", temperature: 1.4, max_tokens: 300, top_p: 1, top_k: 0, n: 1, seed: "", stop: "" }],
  ],
};
