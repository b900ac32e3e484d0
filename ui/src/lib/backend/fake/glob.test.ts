import { expect, test } from "vitest";
import { ignoredBy } from "./glob";

const FILES = ["a.tmp", "notes/b.tmp", "build/index.html", "src/build/x.js", "keep.tmp", "photo1.png", "photo22.png", ".DS_Store"];
const matched = (text: string) => ignoredBy(text, FILES).matched;

test("a pattern without a slash matches in every directory", () => {
  expect(matched("*.tmp")).toEqual(["a.tmp", "notes/b.tmp", "keep.tmp"]);
  expect(matched("build/")).toEqual(["build/index.html", "src/build/x.js"]);
});

test("a pattern with a leading slash matches at the top only", () => {
  expect(matched("/build")).toEqual(["build/index.html"]);
});

test("? and sets match one character", () => {
  expect(matched("photo?.png")).toEqual(["photo1.png"]);
  expect(matched("photo[0-9][0-9].png")).toEqual(["photo22.png"]);
});

test("the last line that matches wins", () => {
  expect(matched("*.tmp\n!keep.tmp")).toEqual(["a.tmp", "notes/b.tmp"]);
});

test("comments match nothing, and a bad line is named", () => {
  const answer = ignoredBy("# hello\n[oops\n*.tmp", FILES);
  expect(answer.bad).toEqual(["[oops"]);
  expect(answer.count).toBe(3);
});
