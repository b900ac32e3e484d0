//! The worked examples: a history, what it leaves on the disks, what is listed.

mod common;

use common::example::{wrong_crashes, wrong_examples};
use common::surveys::wrong_surveys;

#[test]
fn examples_come_out_as_written() {
    let wrong = wrong_examples();
    assert!(wrong.is_empty(), "{} examples are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_crash_after_any_step_is_made_good() {
    let wrong = wrong_crashes();
    assert!(wrong.is_empty(), "{} crashes went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn surveys_conclude_what_they_may() {
    let wrong = wrong_surveys();
    assert!(wrong.is_empty(), "{} surveys went wrong:\n{}", wrong.len(), wrong.join("\n"));
}
