// The one door: all that the window knows and does goes through this interface. `real.ts` asks the desktop program, `fake.ts` plays a
// scripted world in a plain browser.
import type {
  AppInfo, Conflict, Content, DeviceStatus, Event, Explained, FileVersion, FolderStatus, Ignored, Invitation, Limit, LogEntry, PendingItem, Resolved,
  Restored, Role, Status, Wish,
} from "./bindings";
export type * from "./bindings";

/** Every method may be refused with a `Trouble`. A folder is named by its id, a device by its id. */
export interface Backend {
  status(): Promise<Status>;
  devices(): Promise<DeviceStatus[]>;
  pending(folder: string): Promise<PendingItem[]>;
  conflicts(folder: string): Promise<Conflict[]>;
  /** pick: mine, theirs, both, delete, or the name of a device. kind: of several conflicts at the path, which. */
  resolve(folder: string, path: string, pick: string, kind: string | null): Promise<Resolved>;
  explain(folder: string, path: string): Promise<Explained>;
  add(path: string, name: string | null): Promise<FolderStatus>;
  invite(folder: string, role: Role, uses: number, expiresS: number): Promise<Invitation>;
  join(ticket: string, path: string): Promise<FolderStatus>;
  host(folder: string, path: string): Promise<FolderStatus>;
  /** For so many seconds; until they are resumed, if that is null. */
  pause(folder: string | null, forS: number | null): Promise<FolderStatus[]>;
  resume(folder: string | null): Promise<FolderStatus[]>;
  /** Lets a held change pass. */
  allow(folder: string): Promise<FolderStatus>;
  /** Of a reader: takes its own changes back, into the history. */
  revert(folder: string): Promise<string[]>;
  /** keepFiles false moves nothing to the trash: it removes Bifold's own directory and history, and leaves the files. */
  remove(folder: string, keepFiles: boolean): Promise<string[]>;
  setRole(device: string, role: Role, folder: string | null): Promise<string[]>;
  removeDevice(device: string, folder: string | null): Promise<string[]>;
  limits(): Promise<Limit[]>;
  setLimits(device: string | null, up: number | null, down: number | null): Promise<Limit[]>;
  /** Newest first; before an entry's id, if that is said. */
  log(folder: string, before: number | null, limit: number, filter: string | null): Promise<LogEntry[]>;
  versions(folder: string, path: string): Promise<FileVersion[]>;
  restore(folder: string, path: string, version: string): Promise<Restored>;
  /** side: mine, theirs, base, a device's name, or a version's id. */
  content(folder: string, path: string, side: string): Promise<Content>;
  /** The patterns of the folder's .bifoldignore, and what they match. */
  ignored(folder: string): Promise<Ignored>;
  /** What other patterns would match; nothing is written. */
  previewIgnore(folder: string, text: string): Promise<Ignored>;
  setIgnore(folder: string, text: string): Promise<Ignored>;
  /** Of a folder that stopped because another one stands in its place: takes what is there now, as a union; nothing is deleted. */
  rejoin(folder: string): Promise<FolderStatus>;
  /** Of a folder whose index is damaged: sets that aside and makes it anew; nothing is deleted. */
  rebuild(folder: string): Promise<FolderStatus>;

  info(): Promise<AppInfo>;
  setAutostart(on: boolean): Promise<AppInfo>;
  /** A dialog of the system; null if it was cancelled. */
  chooseDirectory(title: string): Promise<string | null>;
  /** A path of the folder, or the folder itself, in the file manager. */
  showInFiles(folder: string, path: string | null): Promise<void>;
  /** The page was drawn for the first time: without its folders, or with them. */
  painted(folders: boolean): Promise<void>;
  quit(): Promise<void>;

  /** Both return what ends the listening. */
  onEvent(hear: (event: Event) => void): () => void;
  onWish(hear: (wish: Wish) => void): () => void;
  /** A directory that was dropped on the window. */
  onDrop(hear: (paths: string[]) => void): () => void;
}
