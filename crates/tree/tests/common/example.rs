//! Written histories.
