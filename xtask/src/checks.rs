//! The checks: `test` (what CI runs), and the slow one, `stories`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::job::{cargo, step, target_dir};
use crate::{install, window};

/// Format, lints, documentation and all tests, quickest answers first. The test runner's closing line comes last.
pub fn test() -> Result<ExitCode> {
    install::for_tests()?;
    step("format", &mut cargo(&["fmt", "--all", "--check"])?, "run `cargo fmt --all`")?;
    // (The program that shows them has them in it.)
    window::pages()?;
    step(
        "lints",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?,
        "correct what clippy shows above",
    )?;
    step(
        "documentation",
        cargo(&["doc", "--workspace", "--no-deps"])?.env("RUSTDOCFLAGS", "-D warnings"),
        "correct what rustdoc shows above",
    )?;
    step(
        "examples in the documentation",
        &mut cargo(&["test", "--doc", "--workspace"])?,
        "correct the example that is named above",
    )?;
    window::check_pages()?;
    let skipped = target_dir()?.join("skipped.txt");
    if skipped.exists() {
        fs::remove_file(&skipped).with_context(|| format!("{} cannot be removed", skipped.display()))?;
    }
    step(
        "tests",
        cargo(&["nextest", "run", "--workspace"])?.env("BIFOLD_SKIPPED", &skipped),
        "see the failed test above; `cargo nextest run NAME` runs it alone",
    )?;
    if let Ok(skipped) = fs::read_to_string(&skipped) {
        eprint!("\nNot tried here:\n{skipped}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Every story of `tests/scenarios/`, played by real processes.
pub fn stories() -> Result<ExitCode> {
    install::c_compiler()?;
    for (what, package) in [
        ("stories, in the simulated world, at every moment", "bifold-testkit"),
        ("stories, by the real program", "bifold"),
    ] {
        step(
            what,
            cargo(&[
                "test",
                "--release",
                "--package",
                package,
                "--test",
                "stories",
                "--",
                "--nocapture",
            ])?
            .env("BIFOLD_HISTORIES", "1"),
            "see the story that is named above; each is a file in tests/scenarios/",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
