//! `cargo xtask run`: Bifold itself, or without arguments a small example, made so that a conflict is seen.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::{install, job};

/// Builds Bifold, then runs `bifold ARGS`, or the example when there are no arguments.
pub fn run(bifold_args: &[OsString]) -> Result<ExitCode> {
    install::c_compiler()?;
    let bifold = job::release_bifold()?;
    if bifold_args.is_empty() {
        return example(&bifold);
    }
    Ok(job::exit_code(job::run(Command::new(bifold).args(bifold_args))?))
}

/// A directory that did not exist before, inside `parent`.
pub fn fresh_directory(parent: &Path, prefix: &str) -> Result<PathBuf> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let path = parent.join(format!("{prefix}-{}-{}", since_1970.as_secs(), std::process::id()));
    fs::create_dir_all(parent)
        .and_then(|()| fs::create_dir(&path))
        .with_context(|| format!("{} cannot be made; is the disk full, or not yours?", path.display()))?;
    Ok(path)
}

/// The two sample folders, and what Bifold remembers about them.
struct Example {
    left: PathBuf,
    right: PathBuf,
    home: PathBuf,
}

fn example(bifold: &Path) -> Result<ExitCode> {
    let top = fresh_directory(&env::temp_dir(), "bifold-example")?;
    let example = Example {
        left: top.join("left"),
        right: top.join("right"),
        home: top.join("home"),
    };
    for directory in [&example.left.join("recipes"), &example.right] {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }

    println!(
        "\nTwo folders, one with a few files, the other empty:\n  {}",
        example.left.display()
    );
    println!("  {}", example.right.display());
    write(&example.left, "welcome.txt", "Change me on either side.\n")?;
    write(&example.left, "notes.txt", "Call the printer.\n")?;
    write(&example.left, "recipes/soup.txt", "Leeks, potatoes, salt.\n")?;
    write(&example.left, "recipes/bread.txt", "Flour, water, salt, time.\n")?;
    let first = example.sync(bifold)?;
    if !first.success() {
        bail!(
            "the first sync ended with {first}; its message is above, and the folders are still in {}",
            top.display()
        );
    }

    println!("\nNow, while Bifold is not running:");
    println!("  left   adds a line to recipes/soup.txt");
    println!("  right  renames recipes/bread.txt to recipes/rye bread.txt");
    println!("  both   change notes.txt, each in its own way");
    write(&example.left, "recipes/soup.txt", "Leeks, potatoes, salt.\nAnd a bay leaf.\n")?;
    fs::rename(
        example.right.join("recipes/bread.txt"),
        example.right.join("recipes/rye bread.txt"),
    )
    .context("recipes/bread.txt did not arrive on the right side; this is a bug in Bifold")?;
    write(&example.left, "notes.txt", "Call the printer on Monday.\n")?;
    write(&example.right, "notes.txt", "Call the printer: done!\n")?;
    // Not an error here, however it ends: a conflict may well show in the status.
    example.sync(bifold)?;

    println!("\nWhat is there now:");
    example.show()?;
    example.what_next();
    Ok(ExitCode::SUCCESS)
}

impl Example {
    fn sync(&self, bifold: &Path) -> Result<ExitStatus> {
        println!("\n$ bifold sync left right --home home");
        job::run(
            Command::new(bifold)
                .arg("sync")
                .args([&self.left, &self.right])
                .arg("--home")
                .arg(&self.home),
        )
    }

    fn show(&self) -> Result<()> {
        let (left, right) = (files(&self.left)?, files(&self.right)?);
        if left == right {
            println!("  the same on both sides:");
            left.iter().for_each(show_file);
        } else {
            for (side, files) in [("left", left), ("right", right)] {
                println!("  {side}:");
                files.iter().for_each(show_file);
            }
        }
        Ok(())
    }

    fn what_next(&self) {
        let again = format!(
            "cargo xtask run -- sync {} {} --home {}",
            quoted(&self.left),
            quoted(&self.right),
            quoted(&self.home)
        );
        println!("\nWhat to try next:");
        println!("  Change, rename or delete something on either side, and sync again:\n    {again}");
        println!("  Choose a side of the conflict:\n    {again} --resolve notes.txt=left");
        println!("  Let Bifold watch, and change files meanwhile (Ctrl-C ends it):\n    {again} --watch");
        println!(
            "  When done, delete it all:\n    {}",
            self.home.parent().unwrap_or(&self.home).display()
        );
    }
}

fn show_file((name, text): &(String, String)) {
    println!("    {name:<28} {}", text.trim_end().replace('\n', " / "));
}

/// Every file below `root`, sorted: its name with `/`, and its text.
fn files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("{} cannot be listed", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            found.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    let path = root.join(name);
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// The path as one would type it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(char::is_whitespace) {
        format!("\"{text}\"")
    } else {
        text
    }
}
