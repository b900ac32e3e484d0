// Every view of every world, light and dark: it is drawn, nothing is wrong on the console, and it can be used by everyone.
import { expect, test } from "@playwright/test";
import { expectAccessible } from "./axe";
import { openTab, openWorld, TABS } from "./window";

const STATES: Record<string, string> = { offline: "No other device can be reached", halted: "Stopped", paused: "Paused", reader: "Up to date", huge: "Receiving" };

test("team, every tab", async ({ page }) => {
  const wrong = await openWorld(page, "team");
  await expect(page.getByTestId("state-text")).toHaveText("7 conflicts need you");
  for (const tab of TABS) {
    await openTab(page, tab);
    if (tab === "changes") await page.getByRole("option").nth(4).click();
    if (tab === "history") {
      await page.getByTestId("history-entry").first().click();
      await expect(page.getByTestId("version-item")).toHaveCount(4);
    }
    if (tab === "conflicts") await expect(page.locator(".cm-content")).toHaveCount(2);
    await expectAccessible(page, tab);
  }
  expect(wrong).toEqual([]);
});

test("team, conflicts and dialogs", async ({ page }) => {
  const wrong = await openWorld(page, "team");
  await openTab(page, "conflicts");
  await page.getByTestId("conflict-item").nth(1).click();
  await page.getByRole("button", { name: "Swipe" }).click();
  await expect(page.getByRole("slider")).toBeVisible();
  await expectAccessible(page, "image");
  await page.getByTestId("conflict-item").nth(2).click();
  await expect(page.getByText("First bytes").first()).toBeVisible();
  await page.getByTestId("conflict-item").nth(3).click();
  await page.keyboard.press("2");
  await expect(page.getByTestId("pick-confirm")).toHaveText("Delete it");
  await expectAccessible(page, "confirm");
  await page.getByTestId("invite").click();
  await page.getByTestId("invite-make").click();
  await expect(page.getByTestId("invite-ticket")).toHaveText(/^bifold\w+$/);
  await expectAccessible(page, "invite");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await expect(page.getByLabel("Sending, KB/s")).toBeVisible();
  await expectAccessible(page, "settings");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  expect(wrong).toEqual([]);
});

for (const [world, state] of Object.entries(STATES)) {
  test(world, async ({ page }) => {
    const wrong = await openWorld(page, world);
    await expect(page.getByTestId("state-text")).toContainText(state);
    await expect(page.locator("main .skeleton")).toHaveCount(0);
    await expectAccessible(page, world);
    expect(wrong).toEqual([]);
  });
}

test("loading and error", async ({ page }) => {
  const wrong = await openWorld(page, "loading");
  await expect(page.locator("main").getByRole("status", { name: "Loading" }).first()).toBeVisible();
  await expectAccessible(page, "loading");
  wrong.push(...(await openWorld(page, "error")));
  await expect(page.getByRole("alert")).toContainText("could not be opened");
  await expect(page.getByRole("alert")).toContainText("Quit it, then try again");
  await expectAccessible(page, "error");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("alert")).toContainText("could not be opened");
  expect(wrong).toEqual([]);
});

test("empty", async ({ page }) => {
  const wrong = await openWorld(page, "empty");
  await expect(page.getByTestId("first-share")).toBeVisible();
  await expectAccessible(page, "empty");
  await page.getByTestId("first-join").click();
  await page.getByTestId("join-ticket").fill("hello");
  await page.getByTestId("join-path").fill("/home/mira/Design");
  await page.getByTestId("join-go").click();
  await expect(page.getByRole("alert")).toContainText("This is not an invitation.");
  await expectAccessible(page, "join");
  expect(wrong).toEqual([]);
});

test("hard: a side that cannot be fetched, and texts too large to compare", async ({ page }) => {
  const wrong = await openWorld(page, "hard");
  await openTab(page, "conflicts");
  await expect(page.getByTestId("side-trouble")).toContainText("Ana’s laptop has this version and is away. It is shown here when");
  await expectAccessible(page, "unreachable");
  await page.keyboard.press("j");
  await expect(page.getByTestId("too-large")).toBeVisible();
  await expect(page.locator("main")).toContainText("6,000 lines");
  await expect(page.locator(".cm-content")).toHaveCount(0);
  await expectAccessible(page, "too large");
  await page.keyboard.press("k");
  await page.keyboard.press("1");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("conflict-item")).toHaveCount(1);
  expect(wrong).toEqual([]);
});

test("hostile names inject nothing", async ({ page }) => {
  const wrong = await openWorld(page, "hostile");
  for (const tab of TABS) {
    await openTab(page, tab);
    if (tab === "conflicts") await expect(page.locator(".cm-content")).toHaveCount(2);
    // Nothing but what the window itself is made of.
    expect(await page.locator("main :is(b, i, u, script, iframe), main img, [onerror], [onclick], [onmouseover]").count()).toBe(0);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await expectAccessible(page, `hostile ${tab}`);
  }
  await expect(page).toHaveTitle("Bifold");
  expect(wrong).toEqual([]);
});
