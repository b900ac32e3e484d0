// How much text is compared line by line. More than this would keep the window busy for too long.
const MOST_LINES = 5_000;
const MOST_BYTES = 400_000;
const LONGEST_LINE = 20_000;
const FIRST_LINES = 40;
const FIRST_CHARS = 20_000;

export type Measures = { lines: number; longest: number };

export function measure(text: string): Measures {
  let lines = 1;
  let longest = 0;
  let from = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
    longest = Math.max(longest, at - from);
    from = at + 1;
    lines += 1;
  }
  return { lines, longest: Math.max(longest, text.length - from) };
}

/** Both together. */
export function tooLargeToCompare(a: string, b: string): boolean {
  if (a.length + b.length > MOST_BYTES) return true;
  const of = [measure(a), measure(b)];
  return of[0].lines + of[1].lines > MOST_LINES || of.some((one) => one.longest > LONGEST_LINE);
}

export function firstLines(text: string): string {
  return text.slice(0, FIRST_CHARS).split("\n", FIRST_LINES).join("\n");
}
