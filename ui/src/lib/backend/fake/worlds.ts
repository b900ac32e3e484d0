// The worlds of `?world=`: each one a state that the window must show well.
import type { PendingItem } from "../bindings";
import { teamWorld } from "./team";
import { DAY, MINUTE, NOTHING, contentKey, device, emptyWorld, folder, member, side, text, type World } from "./world";

function offline(now: number): World {
  const world = teamWorld(now);
  world.status.why = "This computer has no network.";
  for (const one of world.status.folders) {
    one.state = "offline";
    one.why = "This computer has no network.";
    one.conflicts = 0;
    one.held = [];
    one.devices = one.devices.map((other) => ({ ...other, connection: "none", last_seen_ms: now - 40 * MINUTE }));
  }
  world.devices = world.devices.map((one) => ({ ...one, connection: "none", last_seen_ms: now - 40 * MINUTE }));
  world.conflicts = {};
  world.moving = {};
  world.status.folders[0].pending_in = NOTHING;
  world.pending.design = world.pending.design.filter((item) => item.direction === "out").map((item) => ({ ...item, why: "No device can be reached." }));
  return world;
}

function halted(now: number): World {
  const world = teamWorld(now);
  Object.assign(world.status.folders[0], {
    state: "halted", conflicts: 0, held: [], problems: [], pending_in: NOTHING, pending_out: NOTHING,
    why: "/home/mira/Work/Design: this is not the folder that was synced before: the mark that Bifold left there (.bifold/root.json) is gone. Perhaps its disk is not mounted, or the folder was emptied. Nothing was changed. Mount it or put it back, or have what is there now merged as new",
    remedy: "rejoin",
  });
  Object.assign(world.status.folders[1], { state: "halted", why: "/home/mira/Pictures/Photos is not there. Perhaps its disk is not connected.", pending_in: NOTHING });
  Object.assign(world.status.folders[2], {
    state: "halted", pending_in: NOTHING, remedy: "rebuild",
    why: "the index /home/mira/.local/share/bifold/docs.db is damaged (database disk image is malformed). Let Bifold rebuild it: the damaged file is kept beside it, and what is in your folders is compared anew, which deletes nothing. If it happens again, have the disk checked",
  });
  world.pending.photos = [];
  world.moving = {};
  world.conflicts = {};
  world.pending.design = [];
  return world;
}

function paused(now: number): World {
  const world = teamWorld(now);
  world.status.folders[0].paused_until_ms = now + 40 * MINUTE;
  for (const one of world.status.folders) {
    one.state = "paused";
    one.held = [];
    one.problems = [];
  }
  world.moving = {};
  return world;
}

function reader(now: number): World {
  const world = teamWorld(now);
  const why = "You changed it, but may only read this folder.";
  Object.assign(world.status.folders[0], {
    state: "up_to_date", why: "You changed 3 files, but may only read this folder.", role: "reader", conflicts: 0, held: [], pending_out: NOTHING, pending_in: NOTHING,
    problems: ["brief/spring-campaign.md", "photos/hero.png", "notes/my list.txt"].map((path) => ({ path, kind: "local", message: why })),
  });
  world.conflicts = {};
  world.pending.design = [];
  return world;
}

function huge(now: number): World {
  const world = teamWorld(now);
  const whats = ["make", "write", "write", "remove", "rename"];
  const items: PendingItem[] = [];
  for (let at = 0; at < 100_000; at++) {
    const what = whats[at % whats.length];
    const bytes = (at * 7919) % 40_000_000;
    items.push({
      folder: "design", direction: at % 4 === 3 ? "out" : "in", to: "Studio Mac", path: `scans/box-${at % 300}/sheet-${at}.tif`, from: what === "rename" ? `scans/inbox/sheet-${at}.tif` : null,
      what, bytes, wire_bytes: bytes >> 2, by: "Ana’s laptop", at_ms: now - at * 700, why: null,
    });
  }
  world.pending.design = items;
  Object.assign(world.status.folders[0], {
    state: "syncing", conflicts: 0, held: [], problems: [], pending_in: { count: 75_000, bytes: 1_500_000_000_000, wire_bytes: 370_000_000_000 },
    pending_out: { count: 25_000, bytes: 500_000_000_000, wire_bytes: 120_000_000_000 },
  });
  world.conflicts = {};
  world.moving.design = { bytes: 20_000_000_000, of: 490_000_000_000 };
  world.busy = true;
  return world;
}

const LONG = `${"very-long-directory-name/".repeat(18)}and-a-file-whose-name-never-ends-${"x".repeat(120)}.txt`;
const HOSTILE = [
  "<img src=x onerror=alert(1)>.md",
  "<script>document.title='owned'</script>.txt",
  "\u202Egnp.exe — right to left",
  "תיקייה/קובץ.txt",
  "🗂️ emoji/👩‍👩‍👧‍👦 family.png",
  "two\nlines.txt",
  LONG,
  "{@html '<b>x</b>'}.md",
  "  leading and trailing  ",
  "\" onmouseover=\"alert(2).txt",
];

function hostile(now: number): World {
  const world = emptyWorld();
  const ana = "<b onclick=alert(3)>Ana</b>";
  world.status.folders = [
    folder("h", "<img src=x onerror=alert(4)>", {
      path: `/home/mira/${LONG}`, state: "needs_you", files: 10, conflicts: HOSTILE.length, role: "owner",
      pending_in: { count: HOSTILE.length, bytes: 5_000, wire_bytes: 900 }, devices: [member("dev-ana", ana, { last_seen_ms: now })],
      problems: [{ path: HOSTILE[0], kind: "special", message: "<u>not underlined</u>" }],
      held: [{ path: HOSTILE[6], removals: 30, overwrites: 2, files: 40 }],
    }),
    folder("rtl", "תיקייה של הצוות עם שם ארוך מאוד מאוד", { files: 3 }),
  ];
  world.devices.push(device("dev-ana", ana, { last_seen_ms: now }), device("dev-long", "A device name that goes on and on and on and on", { connection: "none", last_seen_ms: now - 90 * DAY }));
  world.pending.h = HOSTILE.map((path, at) => ({
    folder: "h", direction: at % 2 ? "out" : "in", to: ana, path, from: at === 3 ? HOSTILE[4] : null, what: at === 3 ? "rename" : "write", bytes: 500, wire_bytes: 90, by: ana,
    at_ms: now - at * MINUTE, why: at === 1 ? "<i>why</i>" : null,
  }));
  world.conflicts.h = HOSTILE.map((path) => ({ folder: "h", path, kind: "content", base: null, sides: [side([world.status.name], true, 40, now), side([ana], false, 60, now)] }));
  for (const path of HOSTILE) {
    world.contents.set(contentKey("h", path, "mine"), text("<script>alert(5)</script>\nplain\n"));
    world.contents.set(contentKey("h", path, "theirs"), text("<img src=x onerror=alert(6)>\nplain\n"));
  }
  world.log.h = HOSTILE.map((path, at) => ({ id: 100 - at, at_ms: now - at * DAY, by: ana, mine: false, what: "edited", path, from: null, size: 40, count: 1 }));
  world.files.h = HOSTILE;
  return world;
}

/** Conflicts that are hard to show: a side that cannot be fetched, and texts that are too large to compare. */
function hard(now: number): World {
  const world = teamWorld(now);
  const lines = (word: string) => Array.from({ length: 6_000 }, (_, at) => `${at + 1}, ${word} ${(at * 7919) % 1000}`).join("\n");
  const unreachable = () => {
    throw { kind: "unreachable", message: "Ana’s laptop has this version and is away.", hint: "It is shown here when Ana’s laptop is back. You can choose without it." };
  };
  world.contents.set(contentKey("design", "brief/spring-campaign.md", "theirs"), unreachable);
  world.contents.set(contentKey("design", "data/measures.csv", "mine"), text(lines("measure")));
  world.contents.set(contentKey("design", "data/measures.csv", "theirs"), text(lines("reading")));
  const large = { ...world.conflicts.design[0], path: "data/measures.csv", base: null };
  world.conflicts.design = [world.conflicts.design[0], large];
  world.status.folders[0].conflicts = 2;
  return world;
}

export function worldNamed(name: string, now: number): World {
  switch (name) {
    case "empty": return emptyWorld();
    case "offline": return offline(now);
    case "halted": return halted(now);
    case "paused": return paused(now);
    case "reader": return reader(now);
    case "huge": return huge(now);
    case "loading": return { ...emptyWorld(), mood: "loading" };
    case "error": return { ...emptyWorld(), mood: "refusing" };
    case "hard": return hard(now);
    case "hostile": return hostile(now);
    default: return teamWorld(now);
  }
}
