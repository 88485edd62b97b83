// The example texts of each panel: [title, form fields].

const STORY =
  "The ferry was late again, so Mara bought a coffee she didn't want and sat on her suitcase. Two boys were fishing off " +
  "the pier; neither had caught anything since morning. \"You'll see,\" said the older one, \"they bite when it rains.\" It " +
  "rained. Nothing bit. By the time the boat finally appeared, a grey thumbprint on a grey sea, she'd learned their names, " +
  "lost three games of cards and decided that the island could wait until tomorrow.";

export const EXAMPLES = {
  tag: [
    ["Contractions", { text: "She didn't see it coming. They'd've left by now, wouldn't they?" }],
    ["Garden paths", { text: "Time flies like an arrow; fruit flies like a banana. The old man the boats. Can you can a can as a canner can can a can?" }],
    ["News", { text: "On Tuesday, Dr. Amara Osei of the University of Ghana told Reuters that 37% of the U.S. harvest had failed. Prices rose to $4.20 a pound." }],
    ["Chat", { text: "omg @lena did u see https://example.org/cats ??? sooo cute :-) gonna show my bro tmrw" }],
    ["A story", { text: STORY }],
  ],
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
