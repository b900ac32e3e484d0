// What a person does without a mouse.
import { expect, test } from "@playwright/test";
import { openTab, openWorld } from "./window";

test("settles a conflict with j, 2 and Enter, then several at once", async ({ page }) => {
  const wrong = await openWorld(page, "team");
  await openTab(page, "conflicts");
  await expect(page.getByTestId("keep-mine")).toBeVisible();
  await page.keyboard.press("j");
  await expect(page.getByRole("option", { selected: true })).toHaveAttribute("data-path", "photos/hero.png");
  await page.keyboard.press("2");
  await expect(page.getByTestId("pick-confirm")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("conflict-item")).toHaveCount(6);
  await expect(page.getByText("Settled: photos/hero.png")).toBeVisible();
  // The next one took its place; Escape takes a choice back.
  await expect(page.getByRole("option", { selected: true })).toHaveAttribute("data-path", "layout/poster.fig");
  await page.keyboard.press("1");
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("keep-mine")).toBeVisible();
  await page.keyboard.press("k");
  await expect(page.getByRole("option", { selected: true })).toHaveAttribute("data-path", "brief/spring-campaign.md");
  await page.keyboard.press("3");
  await page.getByLabel(/Do the same for 2 others/).press("Space");
  await page.getByTestId("pick-confirm").press("Enter");
  await expect(page.getByTestId("conflict-item")).toHaveCount(3);
  await expect(page.getByTestId("state-text")).toHaveText("3 conflicts need you");
  expect(wrong).toEqual([]);
});

test("filters with /, and keys in the field choose nothing", async ({ page }) => {
  await openWorld(page, "team");
  await openTab(page, "conflicts");
  await page.keyboard.press("/");
  await page.keyboard.type("poster1");
  await expect(page.getByText("No conflict matches")).toBeVisible();
  await page.keyboard.press("Backspace");
  await expect(page.getByTestId("conflict-item")).toHaveCount(1);
  await expect(page.getByTestId("pick-confirm")).toHaveCount(0);
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("conflict-item")).toHaveCount(7);
});

test("walks the tabs by arrows", async ({ page }) => {
  await openWorld(page, "team");
  await page.getByTestId("tab-changes").focus();
  for (const tab of ["conflicts", "history", "devices", "settings", "changes"]) {
    await page.keyboard.press("ArrowRight");
    await expect(page.getByTestId(`tab-${tab}`)).toBeFocused();
    await expect(page.getByTestId(`tab-${tab}`)).toHaveAttribute("aria-selected", "true");
  }
});

test("first start: shares a folder, then invites to it", async ({ page }) => {
  await openWorld(page, "empty");
  await page.getByTestId("first-share").focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("share-path").focus();
  await page.keyboard.type("/home/mira/Plans");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Plans" })).toBeVisible();
  await expect(page.getByTestId("state-text")).toHaveText("Shared with nobody yet");
  await page.getByTestId("invite").press("Enter");
  await page.getByTestId("invite-make").press("Enter");
  const ticket = await page.getByTestId("invite-ticket").textContent();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByTestId("invite")).toBeFocused();
  // The same ticket, as another one would use it.
  await page.evaluate((detail) => window.dispatchEvent(new CustomEvent("fake-wish", { detail })), { show: "join", folder: null, ticket });
  await expect(page.getByTestId("join-ticket")).toHaveValue(ticket ?? "");
  await page.getByTestId("join-choose").press("Enter");
  await expect(page.getByTestId("join-path")).toHaveValue("/home/mira/Work/Chosen");
  await page.getByTestId("join-go").press("Enter");
  await expect(page.getByRole("heading", { name: "Chosen" })).toBeVisible();
});
