//! What ends the program: a sentence on what is wrong, and one on what to do.

/// Exit code 2.
#[derive(Debug)]
pub struct Fatal {
    pub message: String,
    pub hint: Option<String>,
}

impl Fatal {
    pub fn new(message: impl Into<String>) -> Fatal {
        Fatal {
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Fatal {
        self.hint = Some(hint.into());
        self
    }
}

impl From<bifold_store::StoreError> for Fatal {
    fn from(e: bifold_store::StoreError) -> Fatal {
        let damaged = matches!(e, bifold_store::StoreError::Damaged { .. });
        let fatal = Fatal::new(e.to_string());
        if damaged {
            fatal.hint("Run the same command with --rebuild-index.")
        } else {
            fatal
        }
    }
}

impl From<bifold_engine::open::OpenError> for Fatal {
    fn from(e: bifold_engine::open::OpenError) -> Fatal {
        match e {
            bifold_engine::open::OpenError::Store(e) => e.into(),
            e @ bifold_engine::open::OpenError::NotTheRoot(_) => Fatal::new(e.to_string())
                .hint("To merge it as new, run the same command with --rejoin left or --rejoin right: the side that it is."),
            e => Fatal::new(e.to_string()),
        }
    }
}

impl From<bifold_engine::carry::CarryError> for Fatal {
    fn from(e: bifold_engine::carry::CarryError) -> Fatal {
        match e {
            bifold_engine::carry::CarryError::Store(e) => e.into(),
            e => Fatal::new(e.to_string()),
        }
    }
}

impl From<bifold_engine::daemon::face::Trouble> for Fatal {
    fn from(trouble: bifold_engine::daemon::face::Trouble) -> Fatal {
        Fatal {
            message: trouble.message,
            hint: trouble.hint,
        }
    }
}
