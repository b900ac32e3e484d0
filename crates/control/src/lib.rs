//! The control of a running daemon: HTTP with JSON on a socket in the home directory (a named pipe on Windows), for this user alone.
//! [`server`] answers, [`client`] asks, [`openapi`] describes it. The types are those of `bifold_engine::daemon::face`.

pub mod client;
pub mod hosting;
pub mod memory;
pub mod openapi;
pub mod place;
pub mod server;
