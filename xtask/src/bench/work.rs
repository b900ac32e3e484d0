//! The works that are measured.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::files::{self, Amount, Recipe, Sizes};
use super::measure::flush_disks;
use super::random::Random;
use super::report::{Figure, Report, Unit};
use super::tool::{Pair, Tool};
use super::watching::Watching;

#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    Small,
    Unchanged,
    Large,
    Memory,
    Latency,
    Idle,
}

impl Work {
    pub const ALL: [Work; 6] = [
        Work::Small,
        Work::Unchanged,
        Work::Large,
        Work::Memory,
        Work::Latency,
        Work::Idle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Work::Small => "small",
            Work::Unchanged => "unchanged",
            Work::Large => "large",
            Work::Memory => "memory",
            Work::Latency => "latency",
            Work::Idle => "idle",
        }
    }
}

/// What all works need to know.
pub struct Bench<'a> {
    pub tools: &'a [Tool],
    /// Everything happens below this directory.
    pub ground: &'a Path,
    pub runs: usize,
    /// A twentieth of the work.
    pub quick: bool,
}

/// One tool with a pair of its own, and what the pair should hold.
struct Lane<'a> {
    tool: &'a Tool,
    directory: PathBuf,
    pair: Pair,
    amount: Amount,
}

impl Bench<'_> {
    pub fn measure(&self, work: Work, report: &mut Report) -> Result<()> {
        eprintln!("\n==> {}", work.name());
        let documents = Recipe {
            files: self.scaled(20_000),
            sizes: Sizes::Lognormal,
        };
        match work {
            Work::Small => self.first(work, |left| documents.make(left), report),
            Work::Large => self.first(work, |left| files::make_large(left, self.scaled(512 << 20)), report),
            Work::Unchanged => self.unchanged(documents, report),
            Work::Memory => self.memory(
                Recipe {
                    files: self.scaled(100_000),
                    sizes: Sizes::Even(100, 2048),
                },
                report,
            ),
            Work::Latency => self.latency(
                Recipe {
                    files: 1_000,
                    sizes: Sizes::Even(100, 8192),
                },
                report,
            ),
            Work::Idle => self.idle(documents, report),
        }
    }

    /// A first sync into an empty directory: time.
    fn first(&self, work: Work, make: impl Fn(&Path) -> Result<Amount>, report: &mut Report) -> Result<()> {
        let mut lanes = self.lanes(work, make)?;
        for round in 0..self.runs {
            each(work, round, &mut lanes, report, |lane, report| {
                let taken = lane.first_sync()?;
                report.sample(
                    Figure::of(work.name(), "first sync", Unit::Seconds),
                    lane.tool.kind,
                    taken.wall.as_secs_f64(),
                );
                lane.pair.empty_right() // so that no more than one copy lies on the disk at once
            })?;
        }
        finish(lanes)
    }

    /// The same again when nothing has changed: time.
    fn unchanged(&self, recipe: Recipe, report: &mut Report) -> Result<()> {
        let work = Work::Unchanged;
        let mut lanes = self.lanes(work, |left| recipe.make(left))?;
        each(work, 0, &mut lanes, report, |lane, _| lane.first_sync().map(drop))?;
        for round in 0..self.runs + 2 {
            each(work, round, &mut lanes, report, |lane, report| {
                let taken = lane.sync()?;
                report.sample(
                    Figure::of(work.name(), "sync again", Unit::Seconds),
                    lane.tool.kind,
                    taken.wall.as_secs_f64(),
                );
                Ok(())
            })?;
        }
        finish(lanes)
    }

    /// Many files: the most memory held, in a first sync and in an unchanged one.
    fn memory(&self, recipe: Recipe, report: &mut Report) -> Result<()> {
        let work = Work::Memory;
        let mut lanes = self.lanes(work, |left| recipe.make(left))?;
        for round in 0..self.runs {
            each(work, round, &mut lanes, report, |lane, report| {
                for (what, taken) in [("first sync", lane.first_sync()?), ("sync again", lane.sync()?)] {
                    let figure = Figure::of(work.name(), what, Unit::Mebibytes);
                    report.sample(figure, lane.tool.kind, taken.peak_memory_bytes as f64 / f64::from(1 << 20));
                }
                lane.pair.empty_right()
            })?;
        }
        finish(lanes)
    }

    /// Edits while the tool watches: time from the closing of the file until the other side holds the new bytes.
    fn latency(&self, recipe: Recipe, report: &mut Report) -> Result<()> {
        let work = Work::Latency;
        let mut lanes = self.lanes(work, |left| recipe.make(left))?;
        each(work, 0, &mut lanes, report, |lane, report| {
            let Some(mut watching) = lane.watch(work, report)? else {
                return Ok(());
            };
            let mut random = Random::seeded(3);
            for number in 0..50 {
                // Not in step with anything that the tool does at fixed times.
                sleep(Duration::from_millis(random.between(250, 500)));
                let mut bytes = vec![0; random.between(1000, 8000) as usize];
                random.fill(&mut bytes);
                let name = recipe.name(number * 7);
                let taken = watching.edit(&name, &bytes, number % 2 == 0, Duration::from_secs(60))?;
                report.sample(
                    Figure::of(work.name(), "one edit", Unit::Milliseconds),
                    lane.tool.kind,
                    taken.as_secs_f64() * 1e3,
                );
            }
            Ok(())
        })?;
        finish(lanes)
    }

    /// Watching while nothing happens: CPU time.
    fn idle(&self, recipe: Recipe, report: &mut Report) -> Result<()> {
        let work = Work::Idle;
        let mut lanes = self.lanes(work, |left| recipe.make(left))?;
        each(work, 0, &mut lanes, report, |lane, report| {
            let Some(watching) = lane.watch(work, report)? else {
                return Ok(());
            };
            sleep(Duration::from_secs(5));
            let before = watching
                .cpu()
                .context("CPU times are read from /proc, which is not here; leave out `idle`")?;
            sleep(Duration::from_secs(20));
            let after = watching.cpu().context("the tool ended while it should watch")?;
            let used = after.saturating_sub(before);
            report.sample(
                Figure::of(work.name(), "CPU in 20 s", Unit::Seconds),
                lane.tool.kind,
                used.as_secs_f64(),
            );
            Ok(())
        })?;
        finish(lanes)
    }

    /// One lane for each tool, its left side made and read once.
    fn lanes(&self, work: Work, make: impl Fn(&Path) -> Result<Amount>) -> Result<Vec<Lane<'_>>> {
        let lane = |tool| {
            let directory = self.ground.join(format!("{}-{}", work.name(), Tool::name(tool)));
            let pair = Pair::below(&directory);
            let amount = make(&pair.left)?;
            files::warm(&pair.left)?;
            pair.empty_right()?;
            Ok(Lane {
                tool,
                directory,
                pair,
                amount,
            })
        };
        self.tools.iter().map(lane).collect()
    }

    fn scaled(&self, amount: u64) -> u64 {
        if self.quick { amount / 20 } else { amount }
    }
}

impl Lane<'_> {
    /// From nothing on the right side.
    fn first_sync(&self) -> Result<super::measure::Taken> {
        self.pair.empty_right()?;
        self.sync()
    }

    /// One measured sync, after which both sides have been seen to be right.
    fn sync(&self) -> Result<super::measure::Taken> {
        flush_disks();
        let taken = self.tool.sync(&self.pair)?;
        files::check(&self.pair.left, &self.pair.right, self.amount)?;
        Ok(taken)
    }

    /// The tool, watching a pair that is in sync; none, with a note, when it cannot watch.
    fn watch(&self, work: Work, report: &mut Report) -> Result<Option<Watching<'_>>> {
        match self.tool.watch(&self.pair)? {
            Err(why) => {
                report.note(format!("{}: {} is left out: {why}", work.name(), self.tool.name()));
                Ok(None)
            }
            Ok(command) => {
                self.first_sync()?;
                Watching::start(command, &self.pair).map(Some)
            }
        }
    }
}

/// Does `job` in each lane, each time beginning with another one. A lane that fails is reported, and takes no further
/// part in this work.
fn each<'a>(
    work: Work,
    round: usize,
    lanes: &mut Vec<Lane<'a>>,
    report: &mut Report,
    mut job: impl FnMut(&Lane<'a>, &mut Report) -> Result<()>,
) -> Result<()> {
    if !lanes.is_empty() {
        let first = round % lanes.len();
        lanes.rotate_left(first);
    }
    let mut kept = Vec::new();
    for lane in lanes.drain(..) {
        match job(&lane, report) {
            Ok(()) => kept.push(lane),
            Err(error) => {
                report.failure(work.name(), lane.tool.kind, &format!("{error:#}"));
                files::remove(&lane.directory)?;
            }
        }
    }
    *lanes = kept;
    Ok(())
}

fn finish(lanes: Vec<Lane<'_>>) -> Result<()> {
    lanes.iter().try_for_each(|lane| files::remove(&lane.directory))
}
