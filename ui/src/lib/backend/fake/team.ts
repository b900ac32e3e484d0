// A small studio in the middle of a working day.
import type { Conflict, LogEntry, PendingItem } from "../bindings";
import { BRIEF_ANA, BRIEF_BASE, BRIEF_MINE, NOTES, binaryStart } from "./documents";
import { landscape } from "./png";
import { DAY, HOUR, MINUTE, binary, contentKey, device, emptyWorld, folder, image, member, side, text, type World } from "./world";

const ANA = "Ana’s laptop";
const JONAS = "Jonas’ PC";
const STUDIO = "Studio Mac";
const ME = "Mira’s desktop";

function conflicts(now: number): Conflict[] {
  const one = (path: string, kind: string, base: string | null, ...sides: Conflict["sides"]): Conflict => ({ folder: "design", path, kind, base, sides });
  return [
    one("brief/spring-campaign.md", "content", "b1", side([ME], true, 742, now - 12 * MINUTE), side([ANA], false, 731, now - 9 * MINUTE)),
    one("photos/hero.png", "content", "b2", side([ME], true, 171_370, now - 2 * HOUR), side([STUDIO], false, 171_370, now - 47 * MINUTE)),
    one("layout/poster.fig", "content", "b3", side([ME], true, 8_412_310, now - 3 * HOUR), side([ANA, STUDIO], false, 8_398_112, now - 2 * HOUR)),
    one("notes/interviews.md", "deleted", "b4", side([ME], true, 148, now - DAY), side([JONAS], false, 0, now - 20 * HOUR, { content: null })),
    one("assets/logo-final.svg", "renamed", "b5",
      side([ME], true, 2_104, now - 5 * HOUR, { path: "assets/logo.svg" }), side([ANA], false, 2_104, now - 4 * HOUR, { path: "brand/logo-2026.svg" })),
    one("photos/team.png", "name", null, side([ME], true, 171_370, now - 26 * HOUR), side([JONAS], false, 171_370, now - 25 * HOUR, { path: "photos/team (Jonas’ PC).png" })),
    one("brief/tagline.md", "content", "b7", side([ME], true, 64, now - 3 * DAY), side([ANA], false, 71, now - 3 * DAY), side([JONAS], false, 58, now - 2 * DAY)),
  ];
}

function pending(now: number): PendingItem[] {
  const item = (direction: "in" | "out", path: string, what: string, size: number, wire: number, by: string | null, minutes: number, more: Partial<PendingItem> = {}): PendingItem => ({
    folder: "design", direction, to: direction === "in" ? ME : STUDIO, path, from: null, what, bytes: size, wire_bytes: wire, by, at_ms: now - minutes * MINUTE, why: null, ...more,
  });
  return [
    item("in", "brief/long.md", "make", 12_410, 4_120, ANA, 4),
    item("in", "renders/stand-front.psd", "write", 612_000_000, 1_310_000, ANA, 6),
    item("out", "assets/img", "rename", 1_204_000_000, 210, ME, 7, { from: "img" }),
    item("out", "notes/kickoff – Zoë.txt", "make", 812, 420, ME, 9),
    item("in", "budget/2027.xlsx", "write", 214_300, 9_100, JONAS, 17, { why: "It is open in LibreOffice on this computer. It is written when you close it." }),
    item("in", "archive/2019", "remove", 0, 140, STUDIO, 21, { why: "Held: more than half of archive would be deleted." }),
    item("out", "layout/grid.fig", "write", 2_210_000, 84_000, ME, 25, { why: "Studio Mac is away." }),
    item("out", "scripts/export.sh", "mode", 1_204, 60, ME, 31),
    item("in", "fonts/Source Serif.otf", "make", 402_118, 402_330, ANA, 44),
  ];
}

function log(now: number): LogEntry[] {
  const people = [ME, ANA, JONAS, STUDIO];
  const first: [string, string, string | null, number, number][] = [
    ["edited", "brief/spring-campaign.md", null, 742, 12],
    ["added", "notes/kickoff – Zoë.txt", null, 812, 19],
    ["moved", "assets/img", "img", 0, 24],
    ["edited", "photos/hero.png", null, 171_370, 47],
    ["deleted", "old/plan.docx", null, 88_120, 66],
    ["replaced", "fonts/Inter.otf", null, 812_004, 90],
    ["mode", "scripts/export.sh", null, 1_204, 130],
  ];
  const paths = ["layout/poster.fig", "brief/spring-campaign.md", "renders/stand-front.psd", "notes/interviews.md", "photos/hero.png", "budget/2027.xlsx"];
  const entries = first.map(([what, path, from, size, minutes], at): LogEntry => ({
    id: 1000 - at, at_ms: now - minutes * MINUTE, by: people[at % 3], mine: at % 3 === 0, what, path, from, size, count: 1,
  }));
  entries.splice(3, 0, { id: 993, at_ms: now - 38 * MINUTE, by: ANA, mine: false, what: "added", path: "photos", from: null, size: 61_400_000_000, count: 20_000 });
  for (let at = 0; at < 400; at++) {
    const by = people[(at * 7) % people.length];
    entries.push({
      id: 900 - at, at_ms: now - 3 * HOUR - at * 97 * MINUTE, by, mine: by === ME, what: at % 9 === 4 ? "added" : "edited",
      path: at % 9 === 4 ? `renders/angle-${400 - at}.png` : paths[(at * 5) % paths.length], from: null, size: 1_000 + ((at * 7919) % 900_000), count: 1,
    });
  }
  return entries;
}

function files(): string[] {
  const list = ["brief/spring-campaign.md", "brief/long.md", "photos/hero.png", "photos/team.png", "layout/poster.fig", "notes/interviews.md", "assets/logo.svg", "scripts/export.sh"];
  for (let at = 1; at <= 60; at++) list.push(`renders/angle-${at}.png`, `renders/cache/angle-${at}.tmp`);
  list.push("build/index.html", "build/site.css", ".DS_Store", "photos/.DS_Store", "notes/draft.tmp");
  return list;
}

function addContents(world: World, now: number): void {
  const put = (path: string, which: string, content: Parameters<typeof world.contents.set>[1]) => world.contents.set(contentKey("design", path, which), content);
  const brief = "brief/spring-campaign.md";
  put(brief, "mine", text(BRIEF_MINE));
  put(brief, "theirs", text(BRIEF_ANA));
  put(brief, "base", text(BRIEF_BASE));
  put("photos/hero.png", "mine", image(() => landscape(0)));
  put("photos/hero.png", "theirs", image(() => landscape(1)));
  put("photos/hero.png", "base", image(() => landscape(0.4)));
  put("photos/team.png", "mine", image(() => landscape(0.2)));
  put("photos/team.png", "theirs", image(() => landscape(0.8)));
  put("layout/poster.fig", "mine", binary(binaryStart(3), 8_412_310));
  put("layout/poster.fig", "theirs", binary(binaryStart(5), 8_398_112));
  put("layout/poster.fig", "base", binary(binaryStart(4), 8_204_010));
  put("notes/interviews.md", "mine", text(`${NOTES}- Two asked for a dark version\n`));
  put("notes/interviews.md", "base", text(NOTES));
  put("brief/tagline.md", "mine", text("# Tagline\n\nThe same folder, everywhere, always calm and quiet.\n"));
  put("brief/tagline.md", ANA, text("# Tagline\n\nThe same folder on everyone’s computer, without a server in between.\n"));
  put("brief/tagline.md", JONAS, text("# Tagline\n\nFolders that agree with each other, at last.\n"));
  put("brief/tagline.md", "base", text("# Tagline\n\nFolders that agree.\n"));
  const versions = (path: string, made: [string, string, number, number][]) =>
    world.versions.set(contentKey("design", path, ""), made.map(([id, reason, size, age]) => ({ id, reason, size, at_ms: now - age })));
  versions(brief, [
    ["v9", "current", 742, 12 * MINUTE],
    ["v8", "replaced", 724, 26 * HOUR],
    ["v7", "replaced", 512, 4 * DAY],
    ["v6", "deleted", 498, 9 * DAY],
  ]);
  put(brief, "v9", text(BRIEF_MINE));
  put(brief, "v8", text(BRIEF_BASE));
  put(brief, "v7", text(BRIEF_BASE.slice(0, 300)));
  put(brief, "v6", text(BRIEF_BASE.slice(0, 200)));
  versions("photos/hero.png", [
    ["p2", "current", 171_370, 47 * MINUTE],
    ["p1", "replaced", 171_370, 3 * DAY],
  ]);
  put("photos/hero.png", "p2", image(() => landscape(1)));
  put("photos/hero.png", "p1", image(() => landscape(0)));
}

export function teamWorld(now: number): World {
  const world = emptyWorld();
  const members = [
    member("dev-ana", ANA, { role: "editor", connection: "direct", last_seen_ms: now, behind: { count: 2, bytes: 1_204_000_812, wire_bytes: 630 }, agrees: false }),
    member("dev-jonas", JONAS, { role: "reader", connection: "relayed", last_seen_ms: now, agrees: true }),
    member("dev-studio", STUDIO, { role: "owner", connection: "none", last_seen_ms: now - 2 * DAY, behind: { count: 118, bytes: 2_310_400_000, wire_bytes: 1_100_000 }, agrees: false }),
  ];
  const list = conflicts(now);
  const items = pending(now);
  world.status.addresses = ["192.168.1.20:47000", "203.0.113.9:47000"];
  world.status.folders = [
    folder("design", "Design", {
      path: "/home/mira/Work/Design", state: "needs_you", files: 12_431, dirs: 812, bytes: 84_200_000_000, conflicts: list.length, devices: members,
      pending_in: { count: 5, bytes: 612_628_828, wire_bytes: 1_725_690 }, pending_out: { count: 4, bytes: 1_206_212_016, wire_bytes: 84_690 },
      held: [{ path: "archive/2019", removals: 4_211, overwrites: 0, files: 6_020 }],
      problems: [
        { path: "renders/locked.psd", kind: "unreadable", message: "This computer may not read it, so it is not sent. Ask its owner for permission." },
        { path: "sockets/preview.sock", kind: "special", message: "A socket cannot be kept the same, so it is left alone." },
      ],
      hosts: [{ path: "/mnt/nas/design", state: "up_to_date", why: null, remedy: null }], settled: false,
    }),
    folder("photos", "Photos", {
      path: "/home/mira/Pictures/Photos", state: "syncing", files: 38_120, dirs: 402, bytes: 214_000_000_000, role: "editor", settled: false,
      pending_in: { count: 340, bytes: 4_120_000_000, wire_bytes: 3_980_000_000 }, devices: [{ ...members[0], role: "owner", behind: { count: 0, bytes: 0, wire_bytes: 0 } }, members[2]],
    }),
    folder("docs", "Team docs", {
      path: "/home/mira/Work/Team docs", files: 1_204, dirs: 96, bytes: 1_900_000_000,
      devices: members.map((one) => ({ ...one, agrees: true, behind: { count: 0, bytes: 0, wire_bytes: 0 } })),
    }),
  ];
  world.devices = [
    device("dev-mira", ME, { this: true, connection: "none", folders: [["design", "owner"]] }),
    device("dev-ana", ANA, { connection: "direct", last_seen_ms: now, sent: 8_120_000, received: 412_000_000 }),
    device("dev-jonas", JONAS, { connection: "relayed", last_seen_ms: now }),
    device("dev-nora", "Nora’s laptop", { connection: "lan", last_seen_ms: now }),
    device("dev-studio", STUDIO, { connection: "none", last_seen_ms: now - 2 * DAY, why: "It did not answer." }),
  ];
  world.pending = {
    design: items,
    photos: Array.from({ length: 340 }, (_, at): PendingItem => ({
      folder: "photos", direction: "in", to: ME, path: `2026/autumn/DSC_${4100 + at}.jpg`, from: null, what: "make", bytes: 9_000_000 + ((at * 7919) % 6_000_000),
      wire_bytes: 9_000_000 + ((at * 7919) % 6_000_000), by: ANA, at_ms: now - (at + 3) * MINUTE, why: null,
    })),
  };
  world.conflicts = { design: list };
  world.log = { design: log(now), photos: log(now).slice(3, 60), docs: log(now).slice(7, 20) };
  world.files = { design: files() };
  world.ignore = { design: "# Made by programs\n*.tmp\n.DS_Store\nbuild/\n" };
  world.limits = [{ device: null, up: null, down: 2_000_000 }, { device: "dev-studio", up: 500_000, down: null }];
  world.moving = { photos: { bytes: 1_730_000_000, of: 4_120_000_000 } };
  addContents(world, now);
  return world;
}
