// A tagged sentence as an SVG file, in the layout and the colours of the page.

import { makeSvg } from "./dom.js";

const MARGIN = 16; // pixels
const DASHES = { solid: "none", double: "none", dashed: "8 5", dotted: "0 6" };

/** Returns the SVG document of a sentence's element, as text. It refers to nothing outside of the file. */
export function sentenceSvg(sentence) {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const words = [...sentence.querySelectorAll(".word")];
  const tags = [...sentence.querySelectorAll("[role=option] > .tag")];
  const brackets = [...sentence.querySelectorAll(".multiword")];
  const boxes = [...words, ...tags].map((element) => element.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)) - MARGIN;
  const top = Math.min(...boxes.map((box) => box.top)) - MARGIN;
  const width = Math.ceil(Math.max(...boxes.map((box) => box.right)) - left + MARGIN);
  const height = Math.ceil(Math.max(...boxes.map((box) => box.bottom)) - top + MARGIN);
  const page = { canvas, left, top };
  const svg = makeSvg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" },
    makeSvg("title", {}, words.map((word) => word.textContent).join(" ")),
    makeSvg("rect", { width, height, fill: toHex(canvas, getComputedStyle(sentence.closest(".card")).backgroundColor) }),
    ...brackets.map((bracket) => drawBracket(bracket, page)),
    ...words.map((word) => drawText(word, page)),
    ...words.flatMap((word) => drawUnderline(word, page)),
    ...tags.map((tag) => drawText(tag, page)),
  );
  return new XMLSerializer().serializeToString(svg);
}

/** Returns a text, centred in its element's box. */
function drawText(element, { canvas, left, top }) {
  const [box, style] = [element.getBoundingClientRect(), getComputedStyle(element)];
  canvas.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const { fontBoundingBoxAscent: ascent, fontBoundingBoxDescent: descent } = canvas.measureText("x");
  const y = box.top + (box.height - underlineWidth(element) + ascent - descent) / 2 - top;
  const font = { "font-family": style.fontFamily, "font-size": style.fontSize, "font-weight": style.fontWeight };
  const place = { x: round(box.left + box.width / 2 - left), y: round(y), "text-anchor": "middle", direction: style.direction };
  const text = [...element.childNodes].map((node) => node.textContent).join(" ");
  return makeSvg("text", { ...place, ...font, fill: toHex(canvas, style.color) }, text);
}

function underlineWidth(element) {
  return element.offsetHeight - element.clientHeight; // the border at the bottom is the only one
}

/** Returns the lines under a word, whose pattern is that of its part of speech. */
function drawUnderline(word, { canvas, left, top }) {
  const [box, style] = [word.getBoundingClientRect(), getComputedStyle(word)];
  const width = underlineWidth(word);
  const double = style.borderBottomStyle === "double";
  const stroke = {
    stroke: toHex(canvas, style.borderBottomColor),
    "stroke-width": round(double ? width / 3 : width),
    "stroke-dasharray": DASHES[style.borderBottomStyle] ?? "none",
    "stroke-linecap": style.borderBottomStyle === "dotted" ? "round" : "butt",
  };
  const offsets = double ? [width / 6, (5 * width) / 6] : [width / 2];
  return offsets.map((offset) => {
    const y = round(box.bottom - width + offset - top);
    return makeSvg("line", { x1: round(box.left - left), x2: round(box.right - left), y1: y, y2: y, ...stroke });
  });
}

/** Returns the bracket above the tokens of a multiword token. */
function drawBracket(element, { canvas, left, top }) {
  const box = element.getBoundingClientRect();
  const [x1, x2, y] = [box.left - left + 5, box.right - left - 5, box.top - top - 2].map((value) => round(value));
  const stroke = toHex(canvas, getComputedStyle(element, "::before").borderTopColor);
  return makeSvg("path", { d: `M${x1} ${y + 4}V${y}H${x2}V${y + 4}`, fill: "none", stroke, "stroke-width": 2 });
}

/** Converts a CSS colour to the notation that every SVG program reads. */
function toHex(canvas, colour) {
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
  return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

function round(value) {
  return Math.round(value * 100) / 100;
}
