//! Deeds done on some devices, whatever these are, and what is seen of them.

use super::explain::{Mystery, Pull, explain};
use super::{Deed, FILES, How, STRANGE, Settled, Step, Trace, Value, tell};
use std::fmt;

/// Devices on which deeds can be done.
pub trait Stage {
    /// How many devices there are.
    fn devices(&self) -> usize;
    /// What is in a file.
    fn read(&mut self, device: usize, file: usize) -> Option<Value>;
    /// Puts a value into a file, and says what it took the place of.
    fn write(&mut self, device: usize, file: usize, value: Value, how: How) -> Option<Value>;
    /// Deletes a file, and says what was in it.
    fn delete(&mut self, device: usize, file: usize, how: How) -> Option<Value>;
    /// Lets some time go by.
    fn sleep(&mut self, much: u8);
    /// A device hears nothing from now on, and nobody hears it. Says whether its program was killed for that.
    fn away(&mut self, device: usize) -> bool;
    /// It is there again.
    fn back(&mut self, device: usize);
    /// Its program is killed, and started anew. Says whose else.
    fn restart(&mut self, device: usize) -> Vec<usize>;
    /// Waits until all have become the same, and says what they came to, for each of so many files.
    ///
    /// # Errors
    /// If they do not come to rest, or show what is none of these files.
    fn settle(&mut self, files: usize) -> Result<Vec<Settled>, String>;
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A trace that cannot be explained.
    Mystery(Mystery),
    /// The devices did not come to rest.
    Restless(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Mystery(mystery) => write!(f, "this cannot be explained: {mystery}"),
            Wrong::Restless(why) => write!(f, "they did not settle: {why}"),
        }
    }
}

/// A play that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// What was seen.
    pub trace: Trace,
    /// What is wrong with that.
    pub wrong: Wrong,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", tell(&self.trace), self.wrong)
    }
}

/// Does these deeds, has all settle, and explains what was seen.
///
/// # Errors
/// If it cannot be explained, or they did not settle.
pub fn play(stage: &mut dyn Stage, deeds: &[Deed]) -> Result<(Trace, Vec<Pull>), Box<Failed>> {
    let mut trace = Trace::new();
    let devices = stage.devices();
    let files = 1 + deeds.iter().filter_map(file_of).max().unwrap_or(0);
    assert!(files <= FILES.len(), "there are no names for so many files");
    let mut away = vec![false; devices];
    let end = (deeds.last() != Some(&Deed::Settle)).then_some(Deed::Settle);
    for deed in deeds.iter().copied().chain(end) {
        let step = match deed {
            Deed::Read(d, file) => Step::Read(d, file, stage.read(d, file)),
            Deed::Write(d, file, value, how) => Step::Write(d, file, value, stage.write(d, file, value, how)),
            Deed::Delete(d, file, how) => Step::Delete(d, file, stage.delete(d, file, how)),
            Deed::Sleep(much) => {
                stage.sleep(much);
                Step::Sleep(much)
            }
            // (A shrunk list of deeds may have one of a pair alone.)
            Deed::Away(d) if !away[d] => {
                away[d] = true;
                if stage.away(d) {
                    trace.push(Step::Killed(d));
                }
                Step::Away(d)
            }
            Deed::Back(d) if away[d] => {
                away[d] = false;
                stage.back(d);
                Step::Back(d)
            }
            Deed::Restart(d) if !away[d] => {
                trace.extend(stage.restart(d).into_iter().map(Step::Killed));
                Step::Killed(d)
            }
            Deed::Away(_) | Deed::Back(_) | Deed::Restart(_) => continue,
            Deed::Settle => {
                for d in (0..devices).filter(|d| std::mem::take(&mut away[*d])) {
                    stage.back(d);
                    trace.push(Step::Back(d));
                }
                match stage.settle(files) {
                    Ok(settled) => Step::Settle(settled),
                    Err(why) => {
                        let wrong = Wrong::Restless(why);
                        return Err(Box::new(Failed { trace, wrong }));
                    }
                }
            }
        };
        trace.push(step);
    }
    match explain(&trace, devices) {
        Ok(pulls) => Ok((trace, pulls)),
        Err(mystery) => {
            let wrong = Wrong::Mystery(mystery);
            Err(Box::new(Failed { trace, wrong }))
        }
    }
}

fn file_of(deed: &Deed) -> Option<usize> {
    match deed {
        Deed::Read(_, file) | Deed::Write(_, file, ..) | Deed::Delete(_, file, _) => Some(*file),
        _ => None,
    }
}

/// Stages of some kind, of which each has a fault.
pub struct Spoilt<S> {
    stage: S,
    spoil: Spoil,
    /// Deeds until it spoils one.
    left: usize,
    /// What was last in each file of each device before what is there.
    before: Vec<Vec<Option<Value>>>,
}

/// What is wrong with a stage: each time once, behind the back of who looks on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoil {
    /// A write does not happen: what was there is put back at once.
    DropsAWrite,
    /// An older value of the file comes back, once all have had time.
    BringsBack,
    /// Bytes that nobody wrote stand in a file.
    Invents,
    /// A file is gone that nobody deleted.
    Loses,
}

impl<S: Stage> Spoilt<S> {
    /// A stage whose deed of this number, from 0, is spoilt.
    pub fn new(stage: S, spoil: Spoil, left: usize) -> Spoilt<S> {
        let before = vec![vec![None; FILES.len()]; stage.devices()];
        Spoilt {
            stage,
            spoil,
            left,
            before,
        }
    }

    /// Whether it is time.
    fn is_now(&mut self) -> bool {
        let now = self.left == 0;
        self.left = if now { usize::MAX } else { self.left - 1 };
        now
    }
}

impl<S: Stage> Stage for Spoilt<S> {
    fn devices(&self) -> usize {
        self.stage.devices()
    }

    fn read(&mut self, device: usize, file: usize) -> Option<Value> {
        self.stage.read(device, file)
    }

    fn write(&mut self, device: usize, file: usize, value: Value, how: How) -> Option<Value> {
        let old = self.stage.write(device, file, value, how);
        let older = std::mem::replace(&mut self.before[device][file], old);
        let how = How::default();
        let back = match self.spoil {
            Spoil::DropsAWrite => Some(old),
            Spoil::BringsBack if old.is_some() && older.is_some() => Some(older),
            Spoil::Invents => Some(Some(STRANGE - 1)),
            Spoil::Loses => Some(None),
            Spoil::BringsBack => None,
        };
        if let Some(back) = back
            && self.is_now()
        {
            match back {
                Some(value) => self.stage.write(device, file, value, how),
                None => self.stage.delete(device, file, how),
            };
        }
        old
    }

    fn delete(&mut self, device: usize, file: usize, how: How) -> Option<Value> {
        self.stage.delete(device, file, how)
    }

    fn sleep(&mut self, much: u8) {
        self.stage.sleep(much);
    }

    fn away(&mut self, device: usize) -> bool {
        self.stage.away(device)
    }

    fn back(&mut self, device: usize) {
        self.stage.back(device);
    }

    fn restart(&mut self, device: usize) -> Vec<usize> {
        self.stage.restart(device)
    }

    fn settle(&mut self, files: usize) -> Result<Vec<Settled>, String> {
        self.stage.settle(files)
    }
}
