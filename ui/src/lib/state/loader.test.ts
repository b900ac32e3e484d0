import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Loader } from "./loader.svelte";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("many questions become one answer in two seconds; a person's own is answered at once", async () => {
  let asked = 0;
  const loader = new Loader(() => Promise.resolve(++asked));
  for (let n = 0; n < 50; n++) {
    loader.refresh();
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(asked).toBeLessThanOrEqual(4);
  const before = asked;
  await loader.now();
  expect(asked).toBe(before + 1);
  expect(loader.data).toBe(asked);
  loader.end();
});

test("what was answered stays when the next answer is refused", async () => {
  let refuse = false;
  const loader = new Loader(() => (refuse ? Promise.reject(new Error("gone")) : Promise.resolve("here")));
  await loader.now();
  refuse = true;
  await loader.now();
  expect([loader.data, loader.trouble?.message]).toEqual(["here", "gone"]);
  loader.end();
});
