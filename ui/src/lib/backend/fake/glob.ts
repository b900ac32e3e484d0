import type { Ignored } from "../bindings";

type Rule = { test: RegExp; negated: boolean };

const escaped = (c: string) => c.replace(/[.+^${}()|\\]/g, "\\$&");

/** A line of .bifoldignore as a rule; null for a comment or an empty line. Throws on an unclosed bracket. */
export function rule(line: string): Rule | null {
  let text = line.trim();
  if (text === "" || text.startsWith("#")) return null;
  const negated = text.startsWith("!");
  if (negated) text = text.slice(1);
  const directory = text.endsWith("/");
  if (directory) text = text.slice(0, -1);
  const rooted = text.includes("/");
  if (text.startsWith("/")) text = text.slice(1);
  let source = "";
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (text.startsWith("**/", at)) {
      source += "(?:.*/)?";
      at += 2;
    } else if (text.startsWith("**", at)) {
      source += ".*";
      at += 1;
    } else if (c === "*") source += "[^/]*";
    else if (c === "?") source += "[^/]";
    else if (c === "[") {
      const end = text.indexOf("]", at + 1);
      if (end < 0) throw new Error(line);
      source += `[${text.slice(at + 1, end).replace(/^!/, "^").replace(/\\/g, "\\\\")}]`;
      at = end;
    } else source += escaped(c);
  }
  const tail = directory ? "/.*" : "(?:/.*)?";
  return { test: new RegExp(`^${rooted ? "" : "(?:.*/)?"}${source}${tail}$`), negated };
}

/** What the patterns match among the files; the last matching line wins. */
export function ignoredBy(text: string, files: readonly string[]): Ignored {
  const bad: string[] = [];
  const rules: Rule[] = [];
  for (const line of text.split("\n")) {
    try {
      const one = rule(line);
      if (one) rules.push(one);
    } catch {
      bad.push(line.trim());
    }
  }
  const matched = files.filter((file) => {
    const deciding = rules.filter((one) => one.test.test(file)).pop();
    return deciding !== undefined && !deciding.negated;
  });
  return { text, matched: matched.slice(0, 200), count: matched.length, whole: true, bad };
}
