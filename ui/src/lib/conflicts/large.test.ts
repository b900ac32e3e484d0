import { expect, test } from "vitest";
import { firstLines, measure, tooLargeToCompare } from "./large";

test("lines are counted", () => {
  expect(measure("")).toEqual({ lines: 1, longest: 0 });
  expect(measure("ab\ncde\nf")).toEqual({ lines: 3, longest: 3 });
});

test("many lines, many bytes and endless lines are not compared", () => {
  const lines = (n: number) => "x\n".repeat(n - 1);
  expect(tooLargeToCompare(lines(2_500), lines(2_500))).toBe(false);
  expect(tooLargeToCompare(lines(2_501), lines(2_500))).toBe(true);
  expect(tooLargeToCompare("x".repeat(300_000), "x".repeat(100_001))).toBe(true);
  expect(tooLargeToCompare("x".repeat(20_001), "")).toBe(true);
});

test("the first lines are few", () => {
  expect(firstLines("x\n".repeat(100)).split("\n")).toHaveLength(40);
  expect(firstLines("x".repeat(100_000))).toHaveLength(20_000);
});
