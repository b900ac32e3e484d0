// Pictures of the views, for ../docs/pictures and to be looked at by a person: npm run pictures
import { statSync } from "node:fs";
import { expect, test, type Page } from "@playwright/test";
import { openTab, openWorld, THEMES } from "./window";

const SHOWN = "../docs/pictures";
/** Not shown to anyone: states that have to look well all the same. */
const LOOKED_AT = "pictures";
const MOST_BYTES = 200_000;

for (const theme of THEMES) {
  async function shot(page: Page, name: string, to = SHOWN) {
    // Nothing is hovered, nothing moves.
    await page.mouse.move(640, 2);
    await page.waitForTimeout(350);
    const path = `${to}/${name}-${theme}.png`;
    await page.screenshot({ path, animations: "disabled", caret: "hide" });
    if (to === SHOWN) expect(statSync(path).size, path).toBeLessThan(MOST_BYTES);
  }

  test(`team, ${theme}`, async ({ page }) => {
    await openWorld(page, "team", theme);
    await shot(page, "changes");
    await openTab(page, "conflicts");
    await page.locator(".cm-content").first().waitFor();
    await shot(page, "conflicts");
    await page.getByTestId("conflict-item").nth(1).click();
    await page.locator("figure img").first().waitFor();
    await shot(page, "conflicts-image");
    await openTab(page, "history");
    await page.getByTestId("history-entry").first().click();
    await page.getByTestId("version-item").nth(1).click();
    await shot(page, "history");
    await openTab(page, "settings");
    await shot(page, "settings");
    await openTab(page, "devices");
    await shot(page, "devices");
    await page.getByTestId("invite").click();
    await page.getByTestId("invite-make").click();
    await page.getByTestId("invite-ticket").waitFor();
    await shot(page, "invite");
  });

  test(`first, ${theme}`, async ({ page }) => {
    await openWorld(page, "empty", theme);
    await shot(page, "first");
  });

  for (const world of ["offline", "halted", "reader", "error", "loading", "hostile", "paused"]) {
    test(`${world}, ${theme}`, async ({ page }) => {
      await openWorld(page, world, theme);
      await shot(page, world, LOOKED_AT);
      if (world !== "hostile") return;
      for (const tab of ["conflicts", "history", "devices", "settings"]) {
        await openTab(page, tab);
        await shot(page, `hostile-${tab}`, LOOKED_AT);
      }
    });
  }

  test(`hard, ${theme}`, async ({ page }) => {
    await openWorld(page, "hard", theme);
    await openTab(page, "conflicts");
    await shot(page, "unreachable", LOOKED_AT);
    await page.keyboard.press("j");
    await shot(page, "too-large", LOOKED_AT);
  });
}
