// The universal part-of-speech tags (universaldependencies.org/u/pos), in the order of the legend.

export const UPOS = {
  NOUN: "noun",
  PROPN: "proper noun",
  PRON: "pronoun",
  VERB: "verb",
  AUX: "auxiliary",
  ADJ: "adjective",
  ADV: "adverb",
  DET: "determiner",
  NUM: "numeral",
  ADP: "adposition",
  CCONJ: "coordinating conjunction",
  SCONJ: "subordinating conjunction",
  PART: "particle",
  INTJ: "interjection",
  PUNCT: "punctuation",
  SYM: "symbol",
  X: "other",
};
