import { expect, test } from "vitest";
import type { Conflict } from "../backend";
import { side } from "../backend/fake/world";
import { othersLike, picksOf } from "./picks";
import { comparisons } from "./sides";

const mine = side(["Me"], true, 10, 0);
const ana = side(["Ana"], false, 10, 0);
const jonas = side(["Jonas"], false, 10, 0);
const gone = { ...ana, content: null };
const conflict = (kind: string, sides: Conflict["sides"], path = "a"): Conflict => ({ folder: "f", path, kind, base: "b", sides });
const picks = (kind: string, ...sides: Conflict["sides"]) => picksOf(conflict(kind, sides)).map((one) => one.pick);

test("only choices that make sense are offered", () => {
  expect(picks("content", mine, ana)).toEqual(["mine", "theirs", "both"]);
  expect(picks("renamed", mine, ana)).toEqual(["mine", "theirs"]);
  expect(picks("name", mine, ana)).toEqual(["mine", "theirs", "both"]);
  expect(picks("cycle", mine, ana)).toEqual(["both"]);
  expect(picks("orphan", mine, ana)).toEqual(["both"]);
});

test("of an edited and deleted file the choice is to keep or to delete it", () => {
  expect(picks("deleted", mine, gone)).toEqual(["mine", "delete"]);
  expect(picks("deleted", { ...mine, content: null }, ana)).toEqual(["delete", "theirs"]);
});

test("more than two sides are named by their devices, as is one that is not mine", () => {
  expect(picks("content", mine, ana, jonas)).toEqual(["mine", "Ana", "Jonas", "both"]);
  expect(picks("content", ana, jonas)).toEqual(["Ana", "Jonas", "both"]);
});

test("the same is done for those of one kind where it can be", () => {
  const all = [conflict("content", [mine, ana]), conflict("content", [mine, ana, jonas], "b"), conflict("name", [mine, ana], "c")];
  expect(othersLike(all[0], "mine", all).map((one) => one.path)).toEqual(["b"]);
  expect(othersLike(all[0], "theirs", all)).toEqual([]);
});

test("what was deleted is compared with nothing", () => {
  expect(comparisons(conflict("deleted", [mine, gone])).map((one) => [one.a.id, one.b.id])).toEqual([["base", "mine"]]);
});
