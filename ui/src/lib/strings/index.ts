// The catalogue in use. A second language is a second `Strings` and a choice here.
import { en } from "./en";

export type Strings = typeof en;
export const t: Strings = en;
