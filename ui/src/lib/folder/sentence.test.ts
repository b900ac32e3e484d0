import { describe, expect, it } from "vitest";
import { teamWorld } from "../backend/fake/team";
import { sentence } from "./sentence";

describe("the state of a folder in a few words", () => {
  const folder = { ...teamWorld(0).status.folders[0], state: "up_to_date" as const };

  it("counts the others alone", () => {
    expect(sentence({ ...folder, devices: [] })).toBe("Shared with nobody yet");
    expect(sentence({ ...folder, devices: folder.devices.slice(0, 1) })).toBe("Up to date");
  });
});

describe("the made-up team", () => {
  it("lists other devices in folders, as the program does", () => {
    const { status } = teamWorld(0);
    expect(status.folders.flatMap((one) => one.devices).filter((one) => one.id === status.device)).toEqual([]);
  });
});
