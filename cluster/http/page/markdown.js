// Markdown to nodes. There is no way from text to HTML here: every letter ends in a text node.

import { h, iconButton, copy } from "./dom.js";
import { highlight } from "./highlight.js";

const MAX_DEPTH = 12; // of quotes and lists within each other; what is deeper stays text
const MAX_INLINE = 20_000; // letters of one paragraph; the rest is shown as it is
const SAFE_LINK = /^(https?:\/\/|mailto:)/i;

/** Shows a text that grows: blocks that are the same as before stay the nodes that they were. */
export class Rendered {
  #blocks = []; // [source, node]

  constructor(element) {
    this.element = element;
  }

  show(text) {
    const sources = blocksOf(text);
    let same = 0;
    while (same < sources.length && this.#blocks[same]?.[0] === sources[same]) same++;
    for (const [, node] of this.#blocks.splice(same)) node.remove();
    for (const source of sources.slice(same)) {
      const node = blockNode(source, 0);
      this.#blocks.push([source, node]);
      this.element.append(node);
    }
  }
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** The text, cut into blocks; a fence that is still open is one. */
function blocksOf(text) {
  const blocks = [];
  let current = [];
  const close = () => {
    if (current.length) blocks.push(current.join("\n"));
    current = [];
  };
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (fence && !isList(current)) {
      close();
      const end = closing(lines, at, fence[1]);
      blocks.push(lines.slice(at, end + 1).join("\n"));
      at = end;
    } else if (line.trim() === "") {
      if (isList(current) && continuesList(lines, at)) current.push(line);
      else close();
    } else {
      if (startsBlock(line, current)) close();
      current.push(line);
      if (HEADING.test(line) && current.length === 1) close();
    }
  }
  close();
  return blocks;
}

function closing(lines, at, mark) {
  for (let end = at + 1; end < lines.length; end++) {
    const trimmed = lines[end].trim();
    if (trimmed.startsWith(mark) && [...trimmed].every((letter) => letter === mark[0])) return end;
  }
  return lines.length - 1;
}

const isList = (current) => current.length > 0 && ITEM.test(current[0]);

function continuesList(lines, at) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() === "") next++;
  return next < lines.length && (/^\s{2,}\S/.test(lines[next]) || ITEM.test(lines[next]));
}

function startsBlock(line, current) {
  if (!current.length) return false;
  if (HEADING.test(line) || (RULE.test(line) && !isList(current))) return true;
  if (isList(current)) return current.at(-1).trim() === "" && !/^\s{2,}\S/.test(line) && !ITEM.test(line);
  if (current[0].trimStart().startsWith(">")) return false;
  return line.trimStart().startsWith(">") || ITEM.test(line);
}

function blockNode(source, depth) {
  const lines = source.split("\n");
  const [first] = lines;
  const fence = FENCE.exec(first);
  if (fence) return codeBlock(lines, fence);
  const heading = HEADING.exec(first);
  if (heading && lines.length === 1) return h(`h${Math.min(6, heading[1].length + 2)}`, {}, inline(heading[2]));
  if (RULE.test(first) && lines.length === 1) return h("hr");
  if (depth < MAX_DEPTH && first.trimStart().startsWith(">")) {
    const inner = lines.map((line) => line.replace(/^\s*> ?/, "")).join("\n");
    return h("blockquote", {}, blocksOf(inner).map((block) => blockNode(block, depth + 1)));
  }
  if (depth < MAX_DEPTH && ITEM.test(first)) return list(lines, depth);
  if (lines.length > 1 && first.includes("|") && DIVIDER.test(lines[1])) return table(lines);
  return h("p", {}, inline(source));
}

function codeBlock(lines, fence) {
  const last = lines.at(-1).trim();
  const isClosed = lines.length > 1 && last.startsWith(fence[1]) && new Set(last).size === 1;
  const text = lines.slice(1, isClosed ? -1 : undefined).join("\n");
  const language = fence[2].trim().split(/\s+/)[0].slice(0, 30);
  const button = iconButton("copy", "Copy code", () => copy(text, button));
  const code = h("code", { tabindex: "0" }, highlight(text, language));
  return h("div", { class: "code" }, h("div", { class: "code-head" }, h("span", {}, language || "text"), button), h("pre", {}, code));
}

function list(lines, depth) {
  const [, indent, mark] = ITEM.exec(lines[0]);
  const isOrdered = /\d/.test(mark);
  const items = [];
  for (const line of lines) {
    const found = ITEM.exec(line);
    if (found && found[1].length <= indent.length + 1 && (items.length === 0 || found[1].length < items.at(-1).width)) {
      items.push({ width: found[1].length + found[2].length + 1, lines: [found[3]] });
    } else {
      const { width, lines: own } = items.at(-1);
      own.push(line.slice(Math.min(width, line.length - line.trimStart().length)));
    }
  }
  const made = items.map((item) => listItem(item.lines, depth));
  return isOrdered ? h("ol", { start: parseInt(mark, 10) }, made) : h("ul", {}, made);
}

function listItem(lines, depth) {
  const task = /^\[([ xX])\]\s+(.*)$/.exec(lines[0]);
  const text = [task ? task[2] : lines[0], ...lines.slice(1)].join("\n");
  const blocks = blocksOf(text);
  // A tight item is its text, without a paragraph around it.
  const nodes = blocks.map((block, at) => (at === 0 && isPlain(block) ? h("span", {}, inline(block)) : blockNode(block, depth + 1)));
  return h("li", {}, task ? [h("span", { class: "task", role: "img", "aria-label": task[1] === " " ? "open" : "done" }, task[1] === " " ? "☐ " : "☑ ")] : [], nodes);
}

function isPlain(block) {
  const [first] = block.split("\n");
  return !FENCE.test(first) && !ITEM.test(first) && !HEADING.test(first) && !first.trimStart().startsWith(">");
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
  const sides = cells(lines[1]).map((mark) => (/^:-+:$/.test(mark) ? "center" : /-:$/.test(mark) ? "right" : ""));
  const row = (tag, line) => h("tr", {}, cells(line).map((cell, at) => h(tag, { class: sides[at] || null }, inline(cell))));
  return h("div", { class: "table" }, h("table", {}, h("thead", {}, row("th", lines[0])), h("tbody", {}, lines.slice(2).map((line) => row("td", line)))));
}

// The marks within a line, in order of precedence. Each has one way to match, so that no text takes long.
const INLINE = [
  ["code", /(`+)([^`]|[^`][^]{0,2000}?[^`])\1(?!`)/],
  ["image", /!\[([^\]\n]{0,500})\]\(([^()\s]{1,2000})\)/],
  ["link", /\[([^[\]\n]{1,500})\]\(([^()\s]{1,2000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?)\)/],
  ["bare", /https?:\/\/[^\s<>"'`)\]]{1,2000}[^\s<>"'`)\].,;:!?]/],
  ["strong", /\*\*(?=\S)([^*]{1,4000}?)\*\*|__(?=\S)([^_]{1,4000}?)__/],
  ["em", /\*(?=[^\s*])([^*]{1,4000}?)\*(?!\w)|(?<![\w_])_(?=[^\s_])([^_]{1,4000}?)_(?!\w)/],
  ["del", /~~(?=\S)([^~]{1,4000}?)~~/],
  ["escape", /\\([\\`*_{}[\]()#+\-.!|~>])/],
  ["break", / {2,}\n|\n/],
];

/** The nodes of a line's text. */
function inline(text, depth = 0) {
  const nodes = [];
  const shown = text.slice(0, MAX_INLINE);
  const next = INLINE.map(([kind, pattern]) => ({ kind, pattern: new RegExp(pattern, "g"), match: undefined }));
  let at = 0;
  for (;;) {
    const best = earliest(next, shown, at);
    if (!best) break;
    if (best.match.index > at) nodes.push(shown.slice(at, best.match.index));
    nodes.push(mark(best.kind, best.match, depth));
    at = best.match.index + best.match[0].length;
  }
  return [...nodes, shown.slice(at) + text.slice(shown.length)];
}

/** The mark that comes first at or after `at`. What was found behind it is kept: a text is searched once for each kind. */
function earliest(next, text, at) {
  let best = null;
  for (const one of next) {
    if (one.match === undefined || (one.match && one.match.index < at)) {
      one.pattern.lastIndex = at;
      one.match = one.pattern.exec(text);
    }
    if (one.match && (!best || one.match.index < best.match.index)) best = one;
  }
  return best;
}

function mark(kind, match, depth) {
  const inner = (source) => (depth < MAX_DEPTH ? inline(source, depth + 1) : source);
  switch (kind) {
    case "code": return h("code", {}, match[2].replace(/^ (.+) $/, "$1"));
    case "image": return link(match[2], match[1] || match[2]); // a picture would be a request to another host
    case "link": return link(match[2], inner(match[1]));
    case "bare": return link(match[0], match[0]);
    case "strong": return h("strong", {}, inner(match[1] ?? match[2]));
    case "em": return h("em", {}, inner(match[1] ?? match[2]));
    case "del": return h("del", {}, inner(match[1]));
    case "escape": return match[1];
    default: return match[0].length > 1 ? h("br") : "\n";
  }
}

function link(address, content) {
  if (!SAFE_LINK.test(address)) return h("span", {}, content);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow", title: address }, content);
}
