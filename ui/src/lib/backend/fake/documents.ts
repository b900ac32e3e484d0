// Texts of the scripted world.
export const BRIEF_BASE = `# Spring campaign

A short brief for everyone who works on the launch.

## What we make

- A landing page with one clear action
- Six product photos, natural light
- A poster in A2 and A3

## Dates

First drafts are due on 4 March. The review is on 9 March,
in the large room.

## Budget

The photographer is booked for two days. Printing is not
included yet.

## Who to ask

Questions about words go to Ana, questions about pictures
to Jonas.
`;
export const BRIEF_MINE = BRIEF_BASE.replace("- Six product photos, natural light", "- Eight product photos, natural light")
  .replace("First drafts are due on 4 March.", "First drafts are due on 6 March.")
  .replace("Printing is not\nincluded yet.", "Printing is\nincluded: 400 posters, recycled paper.");
export const BRIEF_ANA = BRIEF_BASE.replace("A short brief for everyone who works on the launch.", "A short brief for everyone who works on the launch.\nThe long version is in brief/long.md.")
  .replace("The review is on 9 March,\nin the large room.", "The review is on 10 March,\nin the small room.")
  .replace("- A poster in A2 and A3", "- A poster in A2");
export const NOTES = `# Interview notes

- Most people find the page through a search
- Nobody noticed the second button
- “It looks calm, I like that”
`;

const BINARY = [0x46, 0x49, 0x47, 0x4d, 0x41, 0x00, 0x01, 0x1c, 0x00, 0x00, 0x9a, 0x02, 0x00, 0x00, 0x00, 0x40];
/** The beginning of a design file: a few telling bytes, then noise that is the same each time. */
export function binaryStart(seed: number): string {
  let text = "";
  for (let at = 0; at < 256; at++) text += String.fromCharCode(at < BINARY.length ? BINARY[at] : (at * 37 + seed * at * at) & 255);
  return btoa(text);
}
