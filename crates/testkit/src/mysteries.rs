//! Mysteries: what people at several devices did with some files, and what they saw, is explained by what their devices told each
//! other meanwhile, or else it is a fault. Nobody looks into the devices, so the same test is for any that can be driven: a
//! [`toy`], the simulated world, real daemons.
//!
//! A trace is a list of steps: a read gives a value or nothing, a write or deletion gives what it replaced. Between them lie events
//! that nobody sees: a device *pulls*, that is, takes over what another device had when that had written something, and all that it
//! had then seen. [`explain`](explain::explain) looks for a placing of such events by which each device shows what was seen there.
//! Whenever all has come to rest, what is alive must be exactly what nobody overwrote who had seen it.
//!
//! Source: Hughes, Pierce, Arts, Norell: Mysteries of Dropbox, ICST 2016. There a device and a server exchange one value, up and
//! down; here there is no server, what is concurrent stays in sight on the device that wrote it, and an edit outlives a deletion.
//!
//! A reader's way: this file, [`explain`], [`play`], [`generate`], [`shrink`].

pub mod explain;
pub mod generate;
pub mod play;
pub mod shrink;
pub mod toy;

use std::collections::BTreeSet;
use std::fmt;

/// What is written to a file; each is written once.
pub type Value = u32;

/// What stands for bytes that are no value.
pub const STRANGE: Value = Value::MAX;

/// Names of devices, for people.
pub const DEVICES: [&str; 4] = ["anna", "ben", "cleo", "dora"];

/// Names of files.
pub const FILES: [&str; 4] = ["a", "b", "c", "d"];

/// The bytes of a value: all have the same size, so that a size tells nothing.
#[must_use]
pub fn bytes_of(value: Value) -> Vec<u8> {
    format!("{value:04}").into_bytes()
}

/// The value of some bytes.
#[must_use]
pub fn value_of(bytes: &[u8]) -> Value {
    let value = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    value.filter(|value| bytes_of(*value) == bytes).unwrap_or(STRANGE)
}

/// In what way a file is changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct How {
    /// The bytes are changed in place, instead of being written aside and put there.
    pub in_place: bool,
    /// It happens while the device's program is at work: before this call to its disk, if it comes to so many.
    pub amid: Option<u16>,
}

/// What is done, by a person or to a device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// Looks into a file.
    Read(usize, usize),
    /// Puts a value into a file, which is made if there is none.
    Write(usize, usize, Value, How),
    /// Deletes a file, if there is one.
    Delete(usize, usize, How),
    /// Some time goes by: so much of it as the stage makes of this.
    Sleep(u8),
    /// A device hears nothing from now on, and nobody hears it.
    Away(usize),
    /// It is there again.
    Back(usize),
    /// The program of a device is killed, and started anew.
    Restart(usize),
    /// All are there, and have time enough to become the same.
    Settle,
}

/// What is at rest at the end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// What each device shows of the file.
    pub shown: Vec<Option<Value>>,
    /// The sides of the conflict that each device lists; none where it lists none.
    pub sides: Vec<BTreeSet<Value>>,
    /// Whether any lists that it was edited and deleted.
    pub edit_of_deleted: bool,
}

/// A deed, and what was seen of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// What is in a file.
    Read(usize, usize, Option<Value>),
    /// A value takes the place of what was there.
    Write(usize, usize, Value, Option<Value>),
    /// What was there is deleted.
    Delete(usize, usize, Option<Value>),
    /// As of [`Deed`].
    Sleep(u8),
    /// As of [`Deed`].
    Away(usize),
    /// As of [`Deed`].
    Back(usize),
    /// The program of a device is killed.
    Killed(usize),
    /// What all came to, for each file.
    Settle(Vec<Settled>),
}

/// Steps, in their order.
pub type Trace = Vec<Step>;

/// What traces had in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    traces: u64,
    operations: u64,
    kills: u64,
    partitions: u64,
}

impl Counts {
    /// Counts one more trace.
    pub fn add(&mut self, trace: &Trace) {
        let of = |is: fn(&Step) -> bool| trace.iter().filter(|step| is(step)).count() as u64;
        self.traces += 1;
        self.operations += of(|step| matches!(step, Step::Read(..) | Step::Write(..) | Step::Delete(..)));
        self.kills += of(|step| matches!(step, Step::Killed(_)));
        self.partitions += of(|step| matches!(step, Step::Away(_)));
    }

    /// Numbers and what they count, to be added up with those of other tests; `ends` is a word for what ended programs.
    #[must_use]
    pub fn in_short(&self, ends: &str) -> String {
        let Counts {
            traces,
            operations,
            kills,
            partitions,
        } = self;
        format!("{traces} histories, {operations} operations, {kills} {ends}, {partitions} partitions")
    }
}

/// A value, or nothing, for people.
pub(crate) struct Told(pub(crate) Option<Value>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "nothing"),
            Some(STRANGE) => write!(f, "bytes that nobody wrote"),
            Some(value) => write!(f, "{value}"),
        }
    }
}

/// Some values, for people.
pub(crate) fn list<T: fmt::Display>(some: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = some.into_iter().map(|one| one.to_string()).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Read(d, file, value) => write!(f, "{} reads {}: {}", DEVICES[*d], FILES[*file], Told(*value)),
            Step::Write(d, file, value, old) => {
                write!(f, "{} writes {}: {value}, over {}", DEVICES[*d], FILES[*file], Told(*old))
            }
            Step::Delete(d, file, old) => write!(f, "{} deletes {}: {}", DEVICES[*d], FILES[*file], Told(*old)),
            Step::Sleep(much) => write!(f, "(time goes by: {much})"),
            Step::Away(d) => write!(f, "{} is away", DEVICES[*d]),
            Step::Back(d) => write!(f, "{} is back", DEVICES[*d]),
            Step::Killed(d) => write!(f, "{}'s program is killed", DEVICES[*d]),
            Step::Settle(files) => {
                write!(f, "all have settled")?;
                for (file, settled) in files.iter().enumerate() {
                    let shown = list(settled.shown.iter().map(|v| Told(*v)));
                    write!(f, "; {} shows {shown}", FILES[file])?;
                    if let Some(sides) = settled.sides.iter().find(|sides| !sides.is_empty()) {
                        write!(f, " (a conflict of {})", list(sides))?;
                    }
                    if settled.edit_of_deleted {
                        write!(f, " (edited and deleted)")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// A trace for people, a line for each step, with its number.
#[must_use]
pub fn tell(trace: &Trace) -> String {
    let line = |(i, step): (usize, &Step)| format!("{:3} {step}\n", i + 1);
    trace.iter().enumerate().map(line).collect()
}
