//! The worked examples: a history, what it leaves on the disks, what is listed.

mod common;

use common::example::wrong_examples;

#[test]
fn examples_come_out_as_written() {
    let wrong = wrong_examples();
    assert!(wrong.is_empty(), "{} examples are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
