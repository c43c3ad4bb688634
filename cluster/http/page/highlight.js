// Colours of code: comments, texts, numbers and the words that most languages share. Nothing is parsed.

import { h } from "./dom.js";

const MAX_LETTERS = 60_000; // longer code is shown plain: a page must not stand still for colours

const WORDS = new Set(
  ("abstract and as assert async await bool boolean break byte case catch char class const continue def default del do double elif else end enum " +
    "except export extends extern false False final finally float fn for from func function global go goto if impl implements import in int interface " +
    "is lambda let local long loop match mod module mut namespace new nil None not null or package pass private protected pub public raise ref return " +
    "select self Self short sizeof static str string struct super switch template then this throw trait true True try type typedef typeof union unsafe " +
    "unsigned until use using var virtual void volatile where while with yield SELECT FROM WHERE INSERT UPDATE DELETE CREATE TABLE JOIN ON GROUP ORDER BY " +
    "AND OR NOT NULL VALUES INTO SET LIMIT echo done fi esac").split(" "),
);
const HASH = new Set(["python", "py", "sh", "bash", "shell", "ruby", "rb", "yaml", "yml", "toml", "r", "perl", "dockerfile", "makefile", "julia", ""]);
const PLAIN = new Set(["text", "txt", "markdown", "md", "output", "console"]);
const TEXT = `"(?:[^"\\\\\\n]|\\\\.)*"?|'(?:[^'\\\\\\n]|\\\\.)*'?|\`[^\`]*\`?`;
const NUMBER = "\\b(?:0[xX][0-9a-fA-F]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\b";
const WORD = "[A-Za-z_][A-Za-z0-9_]*";

export function highlight(text, language) {
  const name = language.toLowerCase();
  if (PLAIN.has(name) || text.length > MAX_LETTERS) return [text];
  if (name === "diff") return text.split(/(?<=\n)/).map((line) => h("span", { class: line[0] === "+" ? "t-s" : line[0] === "-" ? "t-d" : null }, line));
  const comments = [HASH.has(name) ? "#[^\\n]*" : "\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)"];
  if (["sql", "lua", "haskell"].includes(name)) comments.push("--[^\\n]*");
  if (["html", "xml", "svg"].includes(name)) comments.push("<!--[^]*?(?:-->|$)");
  const pattern = new RegExp(`(${comments.join("|")})|(${TEXT})|(${NUMBER})|(${WORD})`, "g");
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const kind = match[1] ? "t-c" : match[2] ? "t-s" : match[3] ? "t-n" : WORDS.has(match[4]) ? "t-k" : text[match.index + match[0].length] === "(" ? "t-f" : null;
    if (!kind) continue;
    nodes.push(text.slice(end, match.index), h("span", { class: kind }, match[0]));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)];
}
