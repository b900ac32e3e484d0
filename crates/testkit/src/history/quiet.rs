//! Panics as values.

use super::Broken;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether panics on this thread are told to nobody but the caller; and where the last one was.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Does something; a panic is a broken rule, and is not printed.
pub(super) fn caught(work: impl FnOnce() -> Result<(), Broken>) -> Result<(), Broken> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if QUIET.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                others(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = PLACE.take().unwrap_or_default();
        Err(Broken {
            rule: "panic",
            what: format!("panic at {place}: {text}"),
        })
    })
}
