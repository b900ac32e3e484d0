//! `cargo xtask bench`: Bifold beside rsync and Unison, on the same work, on one machine, in one run.
//!
//! Compare ratios within a run, never seconds across runs or machines. rsync goes one way only (`L/` to `R/`) and
//! remembers nothing, so it does less than the other two; it is the mark for how fast the disk lets one be.

mod files;
mod measure;
mod options;
pub mod random;
mod report;
mod tool;
mod watching;
mod work;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::sample::fresh_directory;
use options::Options;
use report::Report;
use tool::Tool;

/// Measures as `args` say, prints the table, and writes it as JSON where asked to.
pub fn run(args: &[OsString]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let mut report = Report::new(options.quick);
    let mut tools = Vec::new();
    for &kind in &options.tools {
        match Tool::find(kind)? {
            Ok(tool) => tools.push(tool),
            Err(why) => report.note(format!("{} is left out: {why}", kind.name())),
        }
    }
    if tools.is_empty() {
        bail!("none of the tools is here; install rsync or unison, or name bifold with --tools");
    }
    for tool in &tools {
        report.version(tool.kind, tool.version()?);
    }

    let parent = env::var_os("BIFOLD_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let ground = Ground(fresh_directory(&parent, "bifold-bench")?);
    for &work in &options.works {
        let bench = work::Bench {
            tools: &tools,
            ground: &ground.0,
            runs: options.runs,
            quick: options.quick,
        };
        bench.measure(work, &mut report)?;
    }
    println!("\n{}", report.table());
    if let Some(out) = &options.out {
        fs::write(out, report.json()).with_context(|| format!("the figures cannot be written to {}", out.display()))?;
        eprintln!("The figures are in {}.", out.display());
    }
    Ok(if report.failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The directory in which all happens; it goes when the bench ends, well or not.
struct Ground(PathBuf);

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!(
                "{} could not be removed ({error}); please remove it by hand.",
                self.0.display()
            );
        }
    }
}
