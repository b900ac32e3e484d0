// What a scripted world consists of, and short ways to write one.
import type {
  AppInfo, Conflict, Content, DeviceStatus, FileVersion, FolderDevice, FolderStatus, Limit, LogEntry, Pending, PendingItem, Side, Status,
} from "../bindings";

export type World = {
  /** loading: no answer ever comes. refusing: every answer is a Trouble. */
  mood: "willing" | "loading" | "refusing";
  status: Status;
  devices: DeviceStatus[];
  pending: Record<string, PendingItem[]>;
  conflicts: Record<string, Conflict[]>;
  /** By `contentKey`. Made when they are asked for: drawing pictures takes a while. */
  contents: Map<string, () => Content>;
  log: Record<string, LogEntry[]>;
  versions: Map<string, FileVersion[]>;
  files: Record<string, string[]>;
  ignore: Record<string, string>;
  limits: Limit[];
  info: AppInfo;
  /** Folders that go on by themselves: bytes there, and of how many. */
  moving: Record<string, { bytes: number; of: number }>;
  /** Events come as fast as a busy engine sends them. */
  busy: boolean;
};

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const NOTHING: Pending = { count: 0, bytes: 0, wire_bytes: 0 };

export function contentKey(folder: string, path: string, side: string): string {
  return JSON.stringify([folder, path, side]);
}

export function folder(id: string, name: string, more: Partial<FolderStatus>): FolderStatus {
  return {
    id, name, path: `/home/mira/${name}`, state: "up_to_date", why: null, remedy: null, paused_until_ms: null, role: "owner", files: 0, dirs: 0, bytes: 0, pending_in: NOTHING,
    pending_out: NOTHING, conflicts: 0, problems: [], held: [], devices: [], hosts: [], settled: true, ...more,
  };
}

export function member(id: string, name: string, more: Partial<FolderDevice>): FolderDevice {
  return { id, name, role: "editor", connection: "lan", last_seen_ms: null, behind: NOTHING, agrees: true, ...more };
}

export function device(id: string, name: string, more: Partial<DeviceStatus>): DeviceStatus {
  return { id, name, this: false, connection: "lan", last_seen_ms: null, why: null, sent: 0, received: 0, folders: [], ...more };
}

export function side(devices: string[], mine: boolean, size: number, at: number | null, more: Partial<Side> = {}): Side {
  return { devices, mine, content: `c${size}-${devices[0]}`, size, modified_ns: at === null ? null : at * 1e6, path: null, ...more };
}

export function text(value: string): () => Content {
  return () => ({ kind: "text", size: new TextEncoder().encode(value).length, mime: "text/plain", text: value, base64: null });
}
export function image(draw: () => string): () => Content {
  return () => {
    const base64 = draw();
    return { kind: "image", size: atob(base64).length, mime: "image/png", text: null, base64 };
  };
}
export function binary(base64: string, size: number): () => Content {
  return () => ({ kind: "binary", size, mime: "application/octet-stream", text: null, base64 });
}

export function emptyWorld(): World {
  return {
    mood: "willing",
    status: { device: "dev-mira", name: "Mira’s desktop", why: null, addresses: [], folders: [] },
    devices: [device("dev-mira", "Mira’s desktop", { this: true })],
    pending: {}, conflicts: {}, contents: new Map(), log: {}, versions: new Map(), files: {}, ignore: {},
    limits: [{ device: null, up: null, down: null }],
    info: { version: "0.1.0", home: "/home/mira/.local/share/bifold", tray: true, autostart: true },
    moving: {},
    busy: false,
  };
}
