import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Event, Status } from "../backend";
import { FakeBackend } from "../backend/fake";
import { worldNamed } from "../backend/fake/worlds";
import { Store } from "./store.svelte";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", new EventTarget());
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function started(world: string) {
  const backend = new FakeBackend(worldNamed(world, Date.now()));
  let tell: (event: Event) => void = () => undefined;
  const onEvent = backend.onEvent.bind(backend);
  backend.onEvent = (hear) => {
    tell = hear;
    return onEvent(hear);
  };
  const store = new Store(backend);
  store.start();
  await vi.advanceTimersByTimeAsync(100);
  return { store, backend, tell: (event: Event) => tell(event) };
}

test("the first folder is shown until another one is selected", async () => {
  const { store } = await started("team");
  expect(store.folder?.name).toBe("Design");
  store.select("docs", "history");
  expect([store.folder?.name, store.tab]).toEqual(["Team docs", "history"]);
  store.stop();
});

test("many events become a few looks, and the last status counts", async () => {
  const { store, tell } = await started("team");
  const design = store.status!.folders[0];
  for (let n = 1; n <= 500; n++) tell({ event: "folder", folder: { ...design, files: n } });
  await vi.advanceTimersByTimeAsync(300);
  expect(store.status!.folders[0].files).toBe(500);
  expect(store.beats.design).toBeLessThanOrEqual(3);
  store.stop();
});

test("events were lost: everything is asked for again, and nothing is said", async () => {
  const { store, backend, tell } = await started("team");
  const before = store.beat;
  const status = vi.fn(backend.status);
  backend.status = status;
  tell({ event: "notice", message: "" });
  await vi.advanceTimersByTimeAsync(600);
  expect(status).toHaveBeenCalledTimes(1);
  expect(store.beat).toBe(before + 1);
  expect(store.toasts.shown).toEqual([]);
  tell({ event: "notice", message: "The disk is nearly full." });
  await vi.advanceTimersByTimeAsync(600);
  expect(store.toasts.shown).toHaveLength(1);
  store.stop();
});

test("what was heard while the status was asked for is newer than the answer", async () => {
  const { store, tell } = await started("team");
  const old = store.status!;
  let answer: (status: Status) => void = () => undefined;
  vi.spyOn(store.backend, "status").mockImplementation(() => new Promise((resolve) => (answer = resolve)));
  store.did();
  await vi.advanceTimersByTimeAsync(600);
  tell({ event: "folder", folder: { ...old.folders[0], state: "halted" } });
  await vi.advanceTimersByTimeAsync(600);
  answer(old);
  await vi.advanceTimersByTimeAsync(600);
  expect(store.status!.folders[0].state).toBe("halted");
  store.stop();
});

test("progress is told by the folder's id", async () => {
  const { store, tell } = await started("team");
  tell({ event: "progress", id: store.status!.folders[0].id, folder: "Design", bytes: 1, of: 2 });
  await vi.advanceTimersByTimeAsync(600);
  expect(store.progressOf(store.status!.folders[0])).toEqual({ bytes: 1, of: 2 });
  expect(store.beats).toEqual({});
  store.stop();
});

test("a folder that comes is added, one that goes is not shown any more", async () => {
  const { store, tell } = await started("team");
  const design = store.status!.folders[0];
  store.select("design");
  tell({ event: "folder", folder: { ...design, id: "new", name: "New" } });
  tell({ event: "folder_gone", id: "design" });
  await vi.advanceTimersByTimeAsync(300);
  expect(store.status!.folders.map((folder) => folder.name)).toEqual(["Photos", "Team docs", "New"]);
  expect(store.folder?.name).toBe("Photos");
  store.stop();
});

test("what was refused is said, and trying again clears it", async () => {
  const { store } = await started("error");
  expect(store.trouble?.message).toContain("could not be opened");
  expect(store.status).toBeNull();
  const answer = store.attempt(() => store.backend.pause(null, null));
  await vi.advanceTimersByTimeAsync(100);
  expect(await answer).toBeNull();
  expect(store.toasts.shown[0]).toMatchObject({ bad: true });
  store.stop();
});

test("a wish for conflicts opens the folder that has some", async () => {
  const { store } = await started("team");
  store.select("docs", "settings");
  store.grant({ show: "conflicts", folder: null, ticket: null });
  expect([store.folder?.id, store.tab]).toEqual(["design", "conflicts"]);
  store.grant({ show: "join", folder: null, ticket: "bifoldabc" });
  expect(store.dialog).toEqual({ kind: "join", ticket: "bifoldabc" });
  store.stop();
});

test("a settled conflict leaves the folder and enters the log", async () => {
  const { store, backend } = await started("team");
  const done = store.attempt(() => backend.resolve("design", "photos/hero.png", "theirs", null));
  await vi.advanceTimersByTimeAsync(600);
  expect(await done).toEqual({ path: "photos/hero.png", taken: "theirs" });
  expect(store.folder?.conflicts).toBe(6);
  const log = backend.log("design", null, 1, null);
  await vi.advanceTimersByTimeAsync(50);
  expect((await log)[0].path).toBe("photos/hero.png");
  store.stop();
});
