import type { Backend, Conflict, Content, Trouble } from "../backend";
import { asTrouble } from "../trouble";
import { sideId } from "./sides";

/** What came of fetching one content. */
export type Got = { content: Content; trouble?: undefined } | { content?: undefined; trouble: Trouble };
/** By side, or `base`. */
export type Looked = ReadonlyMap<string, Got>;

export function contentOf(looked: Looked, id: string): Content | undefined {
  return looked.get(id)?.content;
}

/** Kinds of which the contents say something. */
export function comparable(conflict: Conflict): boolean {
  return ["content", "deleted", "name"].includes(conflict.kind);
}

/** All contents of a conflict. One that cannot be fetched does not keep the others away. */
export async function lookAt(backend: Backend, folder: string, conflict: Conflict): Promise<Looked> {
  if (!comparable(conflict)) return new Map();
  const ids = conflict.sides.filter((side) => side.content !== null).map((side) => sideId(conflict, side));
  if (conflict.base !== null) ids.push("base");
  const ask = async (id: string): Promise<[string, Got]> => {
    try {
      return [id, { content: await backend.content(folder, conflict.path, id) }];
    } catch (thrown) {
      return [id, { trouble: asTrouble(thrown) }];
    }
  };
  return new Map(await Promise.all(ids.map(ask)));
}
