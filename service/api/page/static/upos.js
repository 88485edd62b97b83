// The universal part-of-speech tags (universaldependencies.org/u/pos), in the order of the legend, and the kinds of tags.

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

export const TITLES = { upos: "Part of speech", xpos: "Treebank tag", feats: "Features", lemma: "Lemma" };

/** Returns features as CoNLL-U has them; a tag as it is. */
export function asText(value) {
  if (typeof value !== "object") return value;
  return Object.entries(value).map((pair) => pair.join("=")).join("|") || "_";
}
