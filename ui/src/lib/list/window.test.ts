import { expect, test } from "vitest";
import { movedTo, scrollToShow, visibleWindow } from "./window";

test("only the rows in sight and a few more are drawn", () => {
  expect(visibleWindow(100_000, 36, 0, 720)).toEqual({ first: 0, last: 29 });
  expect(visibleWindow(100_000, 36, 36_000, 720)).toEqual({ first: 996, last: 1029 });
});

test("the end of the list is the end of the window", () => {
  expect(visibleWindow(100_000, 36, 3_600_000 - 720, 720).last).toBe(100_000);
  expect(visibleWindow(3, 36, 0, 720)).toEqual({ first: 0, last: 3 });
  expect(visibleWindow(0, 36, 500, 720)).toEqual({ first: 0, last: 0 });
});

test("a list that became shorter than where it was scrolled to shows its end", () => {
  expect(visibleWindow(30, 36, 90_000, 360)).toEqual({ first: 16, last: 30 });
});

test("scrolling goes no further than it must", () => {
  expect(scrollToShow(5, 36, 0, 360)).toBe(0);
  expect(scrollToShow(10, 36, 0, 360)).toBe(36);
  expect(scrollToShow(2, 36, 360, 360)).toBe(72);
});

test("an item is found again where it has moved to", () => {
  const key = (n: number) => n;
  expect(movedTo([1, 2, 3], [9, 8, 1, 2, 3], 1, key)).toBe(3);
  expect(movedTo([1, 2, 3, 4], [3, 4], 3, key)).toBe(1);
  expect(movedTo([1, 2, 3], [1, 3], 1, key)).toBe(-1);
  expect(movedTo([1, 2, 3], [1, 2, 3], -1, key)).toBe(-1);
});
