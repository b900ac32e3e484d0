// Plays a scripted world in a plain browser: for tests, and for work on the look.
import type { Backend, Event, FolderState, FolderStatus, LogEntry, Trouble, Wish } from ".";
import { ignoredBy } from "./fake/glob";
import { contentKey, folder as makeFolder, member, type World } from "./fake/world";

const ANSWER_MS = 15;
const TICK_MS = 700;
const BUSY_TICK_MS = 20;

function trouble(kind: Trouble["kind"], message: string, hint: string | null = null): Trouble {
  return { kind, message, hint };
}

function baseName(path: string): string {
  return path.split("/").filter(Boolean).pop() ?? path;
}

export class FakeBackend implements Backend {
  #world: World;
  #hearers = new Set<(event: Event) => void>();
  #beforePause = new Map<string, FolderState>();
  #done = new Map<string, number>();
  #nextLog = 100_000;

  constructor(world: World) {
    this.#world = world;
  }

  #answer<T>(work: () => T): Promise<T> {
    if (this.#world.mood === "loading") return new Promise(() => undefined);
    return new Promise((resolve, reject) => {
      setTimeout(() => {
        try {
          if (this.#world.mood === "refusing") throw trouble("failed", "Bifold’s own files could not be opened.", "Another Bifold may be running. Quit it, then try again.");
          resolve(work());
        } catch (thrown) {
          reject(thrown);
        }
      }, ANSWER_MS);
    });
  }

  #folder(id: string): FolderStatus {
    const found = this.#world.status.folders.find((folder) => folder.id === id);
    if (!found) throw trouble("not_found", "This folder is not here any more.");
    return found;
  }

  #change(id: string, change: Partial<FolderStatus>): FolderStatus {
    const changed = { ...this.#folder(id), ...change };
    const folders = this.#world.status.folders.map((folder) => (folder.id === id ? changed : folder));
    this.#world.status = { ...this.#world.status, folders };
    this.#tell({ event: "folder", folder: changed });
    return changed;
  }

  #tell(event: Event): void {
    for (const hear of this.#hearers) hear(event);
  }

  #note(folder: string, entry: Pick<LogEntry, "what" | "path" | "size">): void {
    const log = this.#world.log[folder] ?? [];
    this.#world.log[folder] = [{ id: this.#nextLog++, at_ms: Date.now(), by: this.#world.status.name, mine: true, from: null, count: 1, ...entry }, ...log];
  }

  #newFolder(path: string, name: string, more: Partial<FolderStatus>): FolderStatus {
    if (!path.startsWith("/")) throw trouble("bad", "This is not a whole path.", "Begin it with a slash, or choose the directory.");
    if (this.#world.status.folders.some((one) => one.path === path)) throw trouble("in_the_way", "This directory is already in Bifold.");
    const made = makeFolder(`folder-${this.#world.status.folders.length + 1}-${name}`, name, { path, ...more });
    this.#world.status = { ...this.#world.status, folders: [...this.#world.status.folders, made] };
    this.#tell({ event: "folder", folder: made });
    return made;
  }

  /** The state that follows from what a folder still waits for. */
  #stateOf(folder: FolderStatus): FolderState {
    if (folder.conflicts > 0 || folder.held.length > 0) return "needs_you";
    return folder.pending_in.count + folder.pending_out.count > 0 ? "syncing" : "up_to_date";
  }

  status: Backend["status"] = () => this.#answer(() => this.#world.status);
  devices: Backend["devices"] = () => this.#answer(() => this.#world.devices);
  pending: Backend["pending"] = (folder) => this.#answer(() => (this.#world.pending[folder] ?? []).slice(this.#done.get(folder) ?? 0));
  conflicts: Backend["conflicts"] = (folder) => this.#answer(() => this.#world.conflicts[folder] ?? []);

  resolve: Backend["resolve"] = (folder, path, pick, kind) =>
    this.#answer(() => {
      const list = this.#world.conflicts[folder] ?? [];
      const conflict = list.find((one) => one.path === path && one.kind === (kind ?? one.kind));
      if (!conflict) throw trouble("not_found", "This conflict is settled already.");
      this.#world.conflicts[folder] = list.filter((one) => one !== conflict);
      const status = { ...this.#folder(folder), conflicts: list.length - 1 };
      this.#change(folder, { ...status, state: this.#stateOf(status) });
      this.#note(folder, { what: pick === "delete" ? "deleted" : "edited", path, size: conflict.sides[0].size });
      return { path, taken: pick };
    });

  explain: Backend["explain"] = (folder, path) =>
    this.#answer(() => {
      const item = (this.#world.pending[folder] ?? []).find((one) => one.path === path);
      const others = this.#folder(folder).devices.filter((one) => one.id !== this.#world.status.device);
      const sentences = [`${item?.by ?? "Someone"} changed it. ${item?.direction === "out" ? "This computer has the new version." : "This computer does not have it yet."}`];
      sentences.push(item?.why ?? (item?.direction === "out" ? "It is being sent now." : "It is being received now."));
      return {
        folder, path, here: "file", content: null, size: item?.bytes ?? 0, versions: [{ content: "c", size: item?.bytes ?? 0, by: item?.by ?? "", at_ms: item?.at_ms ?? 0 }],
        shown_by: others.filter((one) => one.agrees).map((one) => one.name), not_yet: others.filter((one) => !one.agrees).map((one) => one.name), sentences,
      };
    });

  add: Backend["add"] = (path, name) => this.#answer(() => this.#newFolder(path, name || baseName(path), { files: 128, dirs: 9, bytes: 42_000_000 }));

  invite: Backend["invite"] = (folder, role, uses, expiresS) =>
    this.#answer(() => {
      const code = Array.from(`${folder}${role}`, (c) => c.charCodeAt(0).toString(32)).join("").padEnd(180, "q7m2xk4w9tzr").toLowerCase();
      return { ticket: `bifold${code}`, link: `bifold://join/bifold${code}`, expires_ms: Date.now() + expiresS * 1000, uses, role };
    });

  join: Backend["join"] = (ticket, path) =>
    this.#answer(() => {
      if (!/^(bifold:\/\/join\/)?bifold\w{20,}$/.test(ticket.trim())) throw trouble("bad", "This is not an invitation.", "Copy the whole code, from “bifold” to its end.");
      const ana = member("dev-ana", "Ana’s laptop", { role: "owner", connection: "direct", last_seen_ms: Date.now() });
      return this.#newFolder(path, baseName(path), { role: "editor", state: "syncing", devices: [ana], pending_in: { count: 12, bytes: 8_000_000, wire_bytes: 7_900_000 } });
    });

  host: Backend["host"] = (folder, path) =>
    this.#answer(() => this.#change(folder, { hosts: [...this.#folder(folder).hosts, { path, state: "syncing", why: null, remedy: null }] }));

  #some(folder: string | null): FolderStatus[] {
    return folder === null ? this.#world.status.folders : [this.#folder(folder)];
  }

  pause: Backend["pause"] = (folder, forS) =>
    this.#answer(() =>
      this.#some(folder).map((one) => {
        if (one.state !== "paused") this.#beforePause.set(one.id, one.state);
        return this.#change(one.id, { state: "paused", paused_until_ms: forS === null ? null : Date.now() + forS * 1000 });
      }),
    );

  resume: Backend["resume"] = (folder) =>
    this.#answer(() => this.#some(folder).map((one) => this.#change(one.id, { state: this.#beforePause.get(one.id) ?? this.#stateOf(one), paused_until_ms: null })));

  allow: Backend["allow"] = (folder) =>
    this.#answer(() => {
      const status = { ...this.#folder(folder), held: [] };
      this.#note(folder, { what: "deleted", path: this.#folder(folder).held[0]?.path ?? "", size: 0 });
      return this.#change(folder, { held: [], state: this.#stateOf(status) });
    });

  revert: Backend["revert"] = (folder) =>
    this.#answer(() => {
      const taken = this.#folder(folder).problems.map((problem) => problem.path);
      this.#change(folder, { problems: [], why: null });
      return taken;
    });

  remove: Backend["remove"] = (folder) =>
    this.#answer(() => {
      const name = this.#folder(folder).name;
      this.#world.status = { ...this.#world.status, folders: this.#world.status.folders.filter((one) => one.id !== folder) };
      this.#tell({ event: "folder_gone", id: folder });
      return [name];
    });

  setRole: Backend["setRole"] = (device, role, folder) =>
    this.#answer(() =>
      this.#some(folder).map((one) => this.#change(one.id, { devices: one.devices.map((other) => (other.id === device ? { ...other, role } : other)) }).name),
    );

  removeDevice: Backend["removeDevice"] = (device, folder) =>
    this.#answer(() => this.#some(folder).map((one) => this.#change(one.id, { devices: one.devices.filter((other) => other.id !== device) }).name));

  limits: Backend["limits"] = () => this.#answer(() => this.#world.limits);
  setLimits: Backend["setLimits"] = (device, up, down) =>
    this.#answer(() => (this.#world.limits = [...this.#world.limits.filter((one) => one.device !== device), { device, up, down }]));

  log: Backend["log"] = (folder, before, limit, filter) =>
    this.#answer(() => {
      const wanted = filter?.toLowerCase() ?? "";
      const fits = (entry: LogEntry) => `${entry.path}\n${entry.by}`.toLowerCase().includes(wanted);
      const list = (this.#world.log[folder] ?? []).filter(fits);
      const from = before === null ? 0 : list.findIndex((entry) => entry.id === before) + 1;
      return list.slice(from, from + limit);
    });

  versions: Backend["versions"] = (folder, path) => this.#answer(() => this.#world.versions.get(contentKey(folder, path, "")) ?? []);

  restore: Backend["restore"] = (folder, path, version) =>
    this.#answer(() => {
      const key = contentKey(folder, path, "");
      const list = this.#world.versions.get(key) ?? [];
      const old = list.find((one) => one.id === version);
      if (!old) throw trouble("not_found", "This version is not kept any more.");
      const id = `r${this.#nextLog}`;
      this.#world.versions.set(key, [{ ...old, id, reason: "current", at_ms: Date.now() }, ...list.map((one) => (one.reason === "current" ? { ...one, reason: "replaced" } : one))]);
      const content = this.#world.contents.get(contentKey(folder, path, version));
      if (content) this.#world.contents.set(contentKey(folder, path, id), content);
      this.#note(folder, { what: "replaced", path, size: old.size });
      this.#change(folder, {});
      return { path };
    });

  content: Backend["content"] = (folder, path, side) =>
    this.#answer(() => this.#world.contents.get(contentKey(folder, path, side))?.() ?? { kind: "nothing", size: 0, mime: null, text: null, base64: null });

  ignored: Backend["ignored"] = (folder) => this.previewIgnore(folder, this.#world.ignore[folder] ?? "");
  previewIgnore: Backend["previewIgnore"] = (folder, patterns) =>
    // Of a folder as large as the huge one, only a part is looked at.
    this.#answer(() => ({ ...ignoredBy(patterns, this.#world.files[folder] ?? []), whole: !this.#world.busy }));
  setIgnore: Backend["setIgnore"] = (folder, patterns) => {
    this.#world.ignore[folder] = patterns;
    return this.ignored(folder);
  };

  rejoin: Backend["rejoin"] = (folder) => this.#goOn(folder);
  rebuild: Backend["rebuild"] = (folder) => this.#goOn(folder);
  #goOn(folder: string): Promise<FolderStatus> {
    return this.#answer(() => this.#change(folder, { state: "up_to_date", why: null, remedy: null }));
  }

  info: Backend["info"] = () => this.#answer(() => this.#world.info);
  setAutostart: Backend["setAutostart"] = (on) => this.#answer(() => (this.#world.info = { ...this.#world.info, autostart: on }));
  chooseDirectory: Backend["chooseDirectory"] = () => this.#answer(() => "/home/mira/Work/Chosen");
  showInFiles: Backend["showInFiles"] = () => this.#answer(() => undefined);
  painted: Backend["painted"] = () => Promise.resolve();
  quit: Backend["quit"] = () => Promise.resolve();

  onEvent(hear: (event: Event) => void): () => void {
    this.#hearers.add(hear);
    const timer = setInterval(() => this.#tick(), this.#world.busy ? BUSY_TICK_MS : TICK_MS);
    // Tests speak for another device: `window.dispatchEvent(new CustomEvent("fake-edit", { detail: { folder, path } }))`.
    const deaf = this.#onWindow("fake-edit", ({ folder, path }: { folder: string; path: string }) => {
      this.#note(folder, { what: "edited", path, size: 1 });
      this.#change(folder, {});
    });
    return () => {
      deaf();
      this.#hearers.delete(hear);
      clearInterval(timer);
    };
  }

  #tick(): void {
    if (this.#world.mood !== "willing") return;
    for (const [id, at] of Object.entries(this.#world.moving)) {
      if (this.#folder(id).state === "paused") continue;
      at.bytes = Math.min(at.of, at.bytes + at.of / 2000);
      this.#tell({ event: "progress", id, folder: this.#folder(id).name, bytes: at.bytes, of: at.of });
      if (!this.#world.busy) continue;
      // What is done leaves the front of the list, as in a long first exchange.
      this.#done.set(id, (this.#done.get(id) ?? 0) + 3);
      const { pending_in } = this.#folder(id);
      this.#change(id, { pending_in: { ...pending_in, count: Math.max(0, pending_in.count - 3) } });
    }
  }

  /** Tests speak for the tray: `window.dispatchEvent(new CustomEvent("fake-wish", { detail }))`. */
  onWish(hear: (wish: Wish) => void): () => void {
    return this.#onWindow("fake-wish", hear);
  }
  onDrop(hear: (paths: string[]) => void): () => void {
    return this.#onWindow("fake-drop", hear);
  }
  #onWindow<T>(name: string, hear: (detail: T) => void): () => void {
    const listener = (event: globalThis.Event) => hear((event as CustomEvent<T>).detail);
    window.addEventListener(name, listener);
    return () => window.removeEventListener(name, listener);
  }
}
