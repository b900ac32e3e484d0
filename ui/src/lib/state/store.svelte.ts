// What the whole window shows. Statuses are taken whole from the backend; nothing is worked out twice.
import type { AppInfo, Backend, DeviceStatus, Event, FolderStatus, Status, Trouble, Wish } from "../backend";
import { asTrouble } from "../trouble";
import { throttle } from "./throttle";
import { Toasts } from "./toasts.svelte";

export const TABS = ["changes", "conflicts", "history", "devices", "settings"] as const;
export type Tab = (typeof TABS)[number];
export type Dialog =
  | { kind: "share"; path: string }
  | { kind: "join"; ticket: string }
  | { kind: "invite" | "remove"; folder: FolderStatus }
  | { kind: "settings" };
export type Progress = { bytes: number; of: number };

/** Four looks a second are what a person can follow. */
const EVERY_MS = 250;

export class Store {
  status = $state.raw<Status | null>(null);
  devices = $state.raw<DeviceStatus[] | null>(null);
  info = $state.raw<AppInfo | null>(null);
  trouble = $state.raw<Trouble | null>(null);
  progress = $state.raw<Record<string, Progress>>({});
  applying = $state.raw<Record<string, string>>({});
  /** Grows when all that is shown should be asked for again. */
  beat = $state(0);
  /** By a folder's id: how often it was heard of. */
  beats = $state.raw<Record<string, number>>({});
  /** Grows when a person did something here, which is shown without delay. */
  done = $state(0);
  now = $state(Date.now());
  selected = $state<string | null>(null);
  tab = $state<Tab>("changes");
  dialog = $state.raw<Dialog | null>(null);
  folder = $derived(this.status?.folders.find((folder) => folder.id === this.selected) ?? this.status?.folders[0] ?? null);
  readonly toasts = new Toasts();

  #heard: Event[] = [];
  /** What was heard of folders while their status was asked for: it may be newer than the answer. */
  #meanwhile = new Map<string, FolderStatus | null>();
  #take = throttle(EVERY_MS, () => this.#takeEvents());
  #askAgain = throttle(EVERY_MS, () => void this.#loadStatus());
  #askDevices = throttle(EVERY_MS, () => void this.#loadDevices());
  #ends: (() => void)[] = [];

  constructor(readonly backend: Backend) {}

  /** Changes when something happened in the folder. */
  beatOf(folder: string): string {
    return `${this.beat} ${this.beats[folder] ?? 0}`;
  }

  /** By a folder's id. */
  progressOf(folder: FolderStatus): Progress | undefined {
    return this.progress[folder.id];
  }

  start(): void {
    const clock = setInterval(() => (this.now = Date.now()), 20_000);
    this.#ends = [
      this.backend.onEvent((event) => {
        this.#heard.push(event);
        this.#take();
      }),
      this.backend.onWish((wish) => this.grant(wish)),
      this.backend.onDrop((paths) => {
        if (paths[0]) this.dialog = { kind: "share", path: paths[0] };
      }),
      () => clearInterval(clock),
    ];
    void this.load();
  }

  stop(): void {
    for (const end of this.#ends) end();
  }

  /** Asks for everything that the frame of the window shows. */
  async load(): Promise<void> {
    this.trouble = null;
    try {
      await this.#askStatus();
      this.beat += 1;
      this.#askDevices();
      this.info = await this.backend.info();
    } catch (thrown) {
      this.trouble = asTrouble(thrown);
    }
  }

  select(folder: string, tab: Tab = this.tab): void {
    this.selected = folder;
    this.tab = tab;
  }

  grant(wish: Wish): void {
    if (wish.show === "join") {
      this.dialog = { kind: "join", ticket: wish.ticket ?? "" };
      return;
    }
    if (wish.show === "settings" && wish.folder === null) {
      this.dialog = { kind: "settings" };
      return;
    }
    const folders = this.status?.folders ?? [];
    const wanted = wish.folder ?? folders.find((folder) => folder.conflicts > 0)?.id;
    this.dialog = null;
    if (wanted) this.select(wanted, wish.show);
  }

  /** Does something, says how it went, and returns what came of it, or null. */
  async attempt<T>(work: () => Promise<T>, said?: (result: T) => string): Promise<T | null> {
    try {
      const result = await work();
      this.did(said?.(result));
      return result;
    } catch (thrown) {
      const trouble = asTrouble(thrown);
      this.toasts.say(trouble.message, trouble.hint, true);
      return null;
    }
  }

  /** Something was done: says so, and looks at what came of it. */
  did(said?: string): void {
    if (said) this.toasts.say(said);
    this.done += 1;
    this.#askAgain();
  }

  async #askStatus(): Promise<void> {
    this.#meanwhile = new Map();
    this.status = await this.backend.status();
    this.#takeFolders(this.#meanwhile);
  }

  async #loadStatus(): Promise<void> {
    try {
      await this.#askStatus();
    } catch (thrown) {
      this.trouble = asTrouble(thrown);
    }
    this.beat += 1;
    this.#askDevices();
  }

  async #loadDevices(): Promise<void> {
    try {
      this.devices = await this.backend.devices();
    } catch (thrown) {
      this.devices ??= [];
      this.trouble ??= asTrouble(thrown);
    }
  }

  #takeEvents(): void {
    const heard = this.#heard;
    this.#heard = [];
    // The last status of a folder is the only one that counts.
    const latest = new Map<string, FolderStatus | null>();
    const progress = { ...this.progress };
    const applying = { ...this.applying };
    let devicesChanged = false;
    for (const event of heard) {
      if (event.event === "folder") latest.set(event.folder.id, event.folder);
      else if (event.event === "folder_gone") latest.set(event.id, null);
      else if (event.event === "progress") progress[event.id] = { bytes: event.bytes, of: event.of };
      else if (event.event === "applying") applying[event.id] = event.path;
      else if (event.event !== "notice") devicesChanged = true;
      else if (event.message !== "") this.toasts.say(event.message);
      // Events were lost: nothing that is shown can be relied on.
      else this.#askAgain();
    }
    this.progress = progress;
    this.applying = applying;
    this.#takeFolders(latest);
    for (const [id, folder] of latest) this.#meanwhile.set(id, folder);
    if (devicesChanged) this.#askDevices();
    if (latest.size === 0) return;
    const beats = { ...this.beats };
    for (const id of latest.keys()) beats[id] = (beats[id] ?? 0) + 1;
    this.beats = beats;
  }

  #takeFolders(latest: Map<string, FolderStatus | null>): void {
    if (!this.status || latest.size === 0) return;
    const known = new Set(this.status.folders.map((folder) => folder.id));
    const folders = this.status.folders.map((folder) => (latest.has(folder.id) ? latest.get(folder.id) : folder));
    for (const [id, folder] of latest) if (!known.has(id)) folders.push(folder);
    this.status = { ...this.status, folders: folders.filter((folder) => folder != null) };
  }
}
