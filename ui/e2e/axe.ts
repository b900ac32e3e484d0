import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, type Page } from "@playwright/test";
import type { AxeResults, RunOptions } from "axe-core";
import { THEMES } from "./window";

type Axe = { run: (root: Document, options: RunOptions) => Promise<AxeResults> };

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** No violation of WCAG 2 A and AA, light and dark; says which rule and where. Only contrast depends on the theme. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  // Put in once a page, and asked once for both themes: it is the slowest part of these tests.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source);
  const found = await page.evaluate(async (themes) => {
    const { axe } = window as unknown as { axe: Axe };
    const said: string[] = [];
    for (const theme of themes) {
      document.documentElement.dataset.theme = theme;
      const runOnly: RunOptions["runOnly"] = theme === "light" ? { type: "tag", values: ["wcag2a", "wcag2aa"] } : { type: "rule", values: ["color-contrast"] };
      const { violations } = await axe.run(document, { runOnly, resultTypes: ["violations"] });
      said.push(...violations.map((one) => `${theme}: ${one.id} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(" | ")}`));
    }
    document.documentElement.dataset.theme = "light";
    return said;
  }, THEMES);
  expect.soft(found, where).toEqual([]);
}
