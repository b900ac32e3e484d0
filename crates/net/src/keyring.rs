//! Where the device's key may lie instead of a file: the system's keyring (Secret Service, Keychain, Credential Manager).

/// Keeps secrets by name.
pub trait Vault {
    /// Keeps one, in place of what had that name.
    ///
    /// # Errors
    /// What the keeper says, for a person.
    fn put(&self, name: &str, secret: &[u8]) -> Result<(), String>;
    /// The secret of a name; `None` if there is none.
    ///
    /// # Errors
    /// What the keeper says, for a person.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, String>;
    /// Keeps it no more.
    ///
    /// # Errors
    /// What the keeper says, for a person.
    fn forget(&self, name: &str) -> Result<(), String>;
}

/// The keyring of this user on this system. Asking it waits, perhaps for a person who unlocks it.
#[derive(Clone, Copy, Debug)]
pub struct Keyring;

const SERVICE: &str = "bifold";

fn entry(name: &str) -> Result<keyring::Entry, String> {
    if let Err(e) = keyring::Entry::store_status() {
        return Err(format!("there is none here: {e}"));
    }
    keyring::Entry::new(SERVICE, name).map_err(|e| e.to_string())
}

impl Vault for Keyring {
    fn put(&self, name: &str, secret: &[u8]) -> Result<(), String> {
        entry(name)?.set_secret(secret).map_err(|e| e.to_string())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(secret)),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(e) => Err(e.to_string()),
        }
    }

    fn forget(&self, name: &str) -> Result<(), String> {
        match entry(name)?.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }
}
