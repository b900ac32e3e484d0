import { expect, test } from "vitest";
import { remedyOf, withoutCommands } from "./halt";

const GONE =
  "/home/mira/Design: this is not the folder that was synced before: its marker (.bifold/root.json) is gone. Perhaps its disk is not mounted, or the folder was emptied. Nothing was changed. Mount it or put it back; if what is there now shall be merged as new, say bifold rejoin FOLDER";
const OTHER =
  "/home/mira/Design: another folder, also known here, stands in its place now (its marker says so). Nothing was changed. Put the right one back; if what is there now shall be merged as new, say bifold rejoin FOLDER";
const MARKER =
  "/home/mira/Design: its marker (.bifold/root.json) cannot be understood. Nothing was changed. If this is the right folder, say bifold rejoin FOLDER: it is then merged as new, and nothing is deleted";
const DAMAGED =
  "the index /home/mira/x.db is damaged (a row that is not as it was written). Let Bifold rebuild it: the damaged file is kept beside it, and what is in your folders is compared anew, which deletes nothing. If it happens again, have the disk checked";

test("what helps is offered", () => {
  expect([GONE, OTHER, MARKER, DAMAGED, "/home/mira/Design is not there.", null].map(remedyOf)).toEqual(["rejoin", "rejoin", "rejoin", "rebuild", null, null]);
});

test("no command line is shown to a person", () => {
  for (const why of [GONE, OTHER, MARKER, DAMAGED]) expect(withoutCommands(why)).not.toMatch(/\bsay\b|rejoin|rebuild|FOLDER|root\.json|its marker/);
  expect(withoutCommands(GONE)).toMatch(/Mount it or put it back\.$/);
  expect(withoutCommands(MARKER)).toMatch(/Nothing was changed\.$/);
  expect(withoutCommands(DAMAGED)).toMatch(/^The index .*damaged .*have the disk checked\.$/);
  expect(withoutCommands("/home/mira/Design is not there.")).toBe("/home/mira/Design is not there.");
});
