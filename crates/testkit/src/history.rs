//! Random histories of devices, each with a program of its own (the real core, carrier and index, on simulated disks): users do all kinds
//! of things, at any moment; connections break, programs and disks fail, the power is cut, clocks jump, databases are put back. In the end
//! all devices are the same, and nothing that was written is lost.
//!
//! A history is two tapes: what users do ([`History::workload`]), and what happens around them ([`History::schedule`]). The same tapes
//! give the same history, to the byte of its [trace](Played::trace); parts of the tapes give shorter ones, which is how one that failed is
//! [made short](shrink()), and then [told](told()) in the language of stories, with some orders more
//! (`tests/histories/README.md`). What is told is understood again: `text.parse::<History>()`.
//!
//! A reader's way: `tape` (what there is), `generate` (what is drawn), `play`, `oracle` (what must hold), `told` and `read` (as text).

mod generate;
mod oracle;
mod play;
mod quiet;
mod read;
mod shrink;
mod tally;
mod tape;
mod told;

pub use play::{Played, play, play_new};
pub use shrink::shrink;
pub use tally::Counts;
pub use tape::{At, DEVICES, Deed, Event, History, What};
pub use told::{text_of, told};

/// What did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// A word for it: histories that break the same one may do so for the same reason.
    pub rule: &'static str,
    /// What was found.
    pub what: String,
}
