import { describe, expect, test } from "vitest";
import { ago, bytes, count, hexLines, moment, percent, sentence, shortPath, splitPath } from "./format";

const NOW = new Date(2026, 10, 22, 15, 0).getTime();
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

test("sizes have at most three digits and never read 1000", () => {
  expect([0, 999, 1000, 4_120, 9_949, 9_950, 88_000, 999_499, 999_500, 1_204_000_000].map(bytes)).toEqual([
    "0 B", "999 B", "1.0 KB", "4.1 KB", "9.9 KB", "10 KB", "88 KB", "999 KB", "1.0 MB", "1.2 GB",
  ]);
});

test("what the engine says is a sentence", () => {
  expect(["the index is damaged", "It is back."].map(sentence)).toEqual(["The index is damaged.", "It is back."]);
});

test("numbers are grouped", () => expect(count(12_431)).toBe("12,431"));

test("a percentage is 100 only at the end", () => {
  expect([percent(0, 0), percent(999, 1000), percent(1000, 1000), percent(42, 100)]).toEqual(["0%", "99%", "100%", "42%"]);
});

describe("times", () => {
  test("relative", () => {
    expect(ago(NOW - 5_000, NOW)).toBe("just now");
    expect(ago(NOW + 5_000, NOW)).toBe("just now");
    expect(ago(NOW - 5 * MINUTE, NOW)).toBe("5 minutes ago");
    expect(ago(NOW - DAY, NOW)).toBe("yesterday");
    expect(ago(NOW - 60 * DAY, NOW)).toBe("Sep 23, 2026");
  });
  test("exact, as short as can be", () => {
    expect(moment(NOW - 5 * MINUTE, NOW)).toBe("14:55");
    expect(moment(NOW - DAY, NOW)).toBe("Nov 21, 15:00");
    expect(moment(NOW - 400 * DAY, NOW)).toBe("Oct 18, 2025");
  });
});

test("a path is split before its name, also a directory's", () => {
  expect(splitPath("a/b/c.md")).toEqual({ parent: "a/b/", name: "c.md" });
  expect(splitPath("a/b/")).toEqual({ parent: "a/", name: "b/" });
  expect(splitPath("c.md")).toEqual({ parent: "", name: "c.md" });
});

test("bytes are shown eight a line", () => {
  expect(hexLines(btoa("PNG\u0000\u0001abcd"))).toEqual(["0000  50 4e 47 00 01 61 62 63  PNG..abc", "0008  64                       d"]);
});

test("of a long path the end is said", () => {
  expect(shortPath("a/b.txt")).toBe("a/b.txt");
  expect(shortPath("very/long/name.txt", 9)).toBe("…name.txt");
});
