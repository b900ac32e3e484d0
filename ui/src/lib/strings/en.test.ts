import { expect, test } from "vitest";
import { t } from ".";

test("no text of the catalogue is empty, and no function leaves a hole", () => {
  const holes: string[] = [];
  const look = (value: unknown, path: string) => {
    if (typeof value === "string" && value.trim() === "") holes.push(path);
    else if (typeof value === "function") {
      const said = path === "t.list" ? t.list(["a", "b"]) : String(value(...(value.length === 3 ? [2, 3, String] : Array(value.length).fill(2))));
      if (said.trim() === "" || /undefined|NaN|\[object/.test(said)) holes.push(`${path}: ${said}`);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) look(inner, `${path}.${key}`);
    }
  };
  look(t, "t");
  expect(holes).toEqual([]);
});

test("one is singular", () => {
  expect(t.files(1)).toBe("1 file");
  expect(t.files(0)).toBe("0 files");
  expect(t.files(12_431)).toBe("12,431 files");
  expect(t.sentence.conflicts(1)).toBe("1 conflict needs you");
});

test("every kind that the engine knows has words", () => {
  for (const kind of ["content", "deleted", "renamed", "name", "cycle", "orphan"]) {
    if (kind !== "content") expect(t.conflicts.kind(kind)).not.toBe(t.conflicts.kind("content"));
    expect(t.conflicts.help(kind)).toBeTruthy();
  }
  for (const what of ["make", "write", "rename", "remove", "mode", "change"]) expect(t.changes.what(what)).toBeTruthy();
  for (const what of ["added", "edited", "moved", "deleted", "mode", "replaced"]) expect(t.history.did(what)).toBeTruthy();
});
