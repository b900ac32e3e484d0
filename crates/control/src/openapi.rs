//! The description of the control API.

use crate::server;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bifold control",
        description = "Asks a running daemon, on the socket `control.sock` in its home directory (a named pipe on Windows). For the user who started it. \
                       An answer other than 200 has a `Trouble` as its body."
    ),
    paths(
        server::status,
        server::devices,
        server::pending,
        server::conflicts,
        server::limits,
        server::set_limits,
        server::add,
        server::invite,
        server::join,
        server::host,
        server::resolve,
        server::allow,
        server::explain,
        server::log,
        server::versions,
        server::restore,
        server::cat,
        server::diff,
        server::ignored,
        server::set_ignore,
        server::pause,
        server::resume,
        server::revert,
        server::remove,
        server::remove_device,
        server::set_role,
        server::look,
        server::rebuild,
        server::rejoin,
        server::events
    ),
    components(schemas(bifold_engine::daemon::face::Trouble))
)]
struct Document;

/// The description, as OpenAPI has it.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The same as text, as it is kept in `docs/openapi.json`.
#[must_use]
pub fn text() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
