import type { FolderStatus } from "../backend";
import { bytes } from "../format";
import { t } from "../strings";

/** The state of a folder in a few words. */
export function sentence(folder: FolderStatus): string {
  const { pending_in, pending_out } = folder;
  switch (folder.state) {
    case "needs_you":
      if (folder.conflicts > 0) return t.sentence.conflicts(folder.conflicts);
      return folder.held.length > 0 ? t.sentence.held : (folder.why ?? t.state.needs_you);
    case "syncing":
      if (pending_in.count > 0) return t.sentence.getting(pending_in.count, bytes(pending_in.wire_bytes));
      return pending_out.count > 0 ? t.sentence.sending(pending_out.count, bytes(pending_out.wire_bytes)) : t.sentence.checking;
    case "up_to_date":
      return folder.devices.length === 0 ? t.sentence.alone : t.sentence.upToDate;
    default:
      return t.sentence[folder.state];
  }
}
