//! Answering what programs ask of a daemon.

use crate::place::listen;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bifold_engine::daemon::Daemon;
use bifold_engine::daemon::face::*;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

/// So often something is sent to whoever listens to events, so that the end of either is noticed.
const STILL_THERE: Duration = Duration::from_secs(15);

/// What is wrong, as an answer.
struct Refusal(Trouble);

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Refusal {
        Refusal(trouble)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            TroubleKind::Bad => StatusCode::BAD_REQUEST,
            TroubleKind::NotFound => StatusCode::NOT_FOUND,
            TroubleKind::InTheWay => StatusCode::CONFLICT,
            TroubleKind::NotAllowed => StatusCode::FORBIDDEN,
            TroubleKind::Unreachable => StatusCode::BAD_GATEWAY,
            TroubleKind::Failed | TroubleKind::NotTheRoot | TroubleKind::IndexDamaged => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Refusal>;
type Running = State<Arc<Daemon>>;

/// Which folder; all of them if it is not said.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct WhichQuery {
    /// By name, id, the beginning of the id, or path.
    folder: Option<String>,
}

impl From<WhichQuery> for Which {
    fn from(query: WhichQuery) -> Which {
        Which { folder: query.folder }
    }
}

macro_rules! handlers {
    ($($(#[$doc:meta])* $method:ident $path:literal $name:ident ($($arg:tt)*) -> $out:ty, $daemon:ident => $work:expr;)*) => {
        $(
            $(#[$doc])*
            async fn $name(State($daemon): Running, $($arg)*) -> Answer<$out> {
                Ok(Json($work))
            }
        )*

        /// The routes.
        pub(crate) fn routes() -> Router<Arc<Daemon>> {
            Router::new()
                $(.route($path, $method($name)))*
                .route("/v1/events", get(events))
                .route("/v1/openapi.json", get(|| async { Json(crate::openapi::document()) }))
        }
    };
}

handlers! {
    /// Everything at a glance.
    #[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
    get "/v1/status" status() -> Status, daemon => daemon.status().await;
    /// All devices.
    #[utoipa::path(get, path = "/v1/devices", responses((status = 200, body = [DeviceStatus])))]
    get "/v1/devices" devices() -> Vec<DeviceStatus>, daemon => daemon.devices().await;
    /// What is to be done.
    #[utoipa::path(get, path = "/v1/pending", params(WhichQuery), responses((status = 200, body = [PendingItem])))]
    get "/v1/pending" pending(Query(which): Query<WhichQuery>) -> Vec<PendingItem>, daemon => daemon.pending(&which.into()).await?;
    /// Open conflicts.
    #[utoipa::path(get, path = "/v1/conflicts", params(WhichQuery), responses((status = 200, body = [Conflict])))]
    get "/v1/conflicts" conflicts(Query(which): Query<WhichQuery>) -> Vec<Conflict>, daemon => daemon.conflicts(&which.into()).await?;
    /// What is limited.
    #[utoipa::path(get, path = "/v1/limits", responses((status = 200, body = [Limit])))]
    get "/v1/limits" limits() -> Vec<Limit>, daemon => daemon.limits();
    /// Sets limits.
    #[utoipa::path(post, path = "/v1/limits/set", request_body = SetLimits, responses((status = 200, body = [Limit])))]
    post "/v1/limits/set" set_limits(Json(set): Json<SetLimits>) -> Vec<Limit>, daemon => daemon.set_limits(set).await?;
    /// Shares a directory.
    #[utoipa::path(post, path = "/v1/add", request_body = Add, responses((status = 200, body = FolderStatus)))]
    post "/v1/add" add(Json(add): Json<Add>) -> FolderStatus, daemon => daemon.add(add).await?;
    /// Gives a ticket out.
    #[utoipa::path(post, path = "/v1/invite", request_body = Invite, responses((status = 200, body = Invitation)))]
    post "/v1/invite" invite(Json(invite): Json<Invite>) -> Invitation, daemon => daemon.invite(invite).await?;
    /// Joins a folder.
    #[utoipa::path(post, path = "/v1/join", request_body = Join, responses((status = 200, body = FolderStatus)))]
    post "/v1/join" join(Json(join): Json<Join>) -> FolderStatus, daemon => daemon.join(join).await?;
    /// Keeps a second replica on a mounted share.
    #[utoipa::path(post, path = "/v1/host", request_body = HostShare, responses((status = 200, body = FolderStatus)))]
    post "/v1/host" host(Json(host): Json<HostShare>) -> FolderStatus, daemon => daemon.host(host).await?;
    /// Decides a conflict.
    #[utoipa::path(post, path = "/v1/resolve", request_body = Resolve, responses((status = 200, body = Resolved)))]
    post "/v1/resolve" resolve(Json(resolve): Json<Resolve>) -> Resolved, daemon => daemon.resolve(resolve).await?;
    /// Lets a held change pass.
    #[utoipa::path(post, path = "/v1/allow", request_body = Allow, responses((status = 200, body = FolderStatus)))]
    post "/v1/allow" allow(Json(allow): Json<Allow>) -> FolderStatus, daemon => daemon.allow(&allow).await?;
    /// Why a path is as it is.
    #[utoipa::path(post, path = "/v1/explain", request_body = Where, responses((status = 200, body = Explained)))]
    post "/v1/explain" explain(Json(at): Json<Where>) -> Explained, daemon => daemon.explain(at).await?;
    /// What happened.
    #[utoipa::path(post, path = "/v1/log", request_body = ListLog, responses((status = 200, body = [LogEntry])))]
    post "/v1/log" log(Json(list): Json<ListLog>) -> Vec<LogEntry>, daemon => daemon.log(list).await?;
    /// The versions of a file.
    #[utoipa::path(post, path = "/v1/versions", request_body = Where, responses((status = 200, body = [FileVersion])))]
    post "/v1/versions" versions(Json(at): Json<Where>) -> Vec<FileVersion>, daemon => daemon.versions(at).await?;
    /// Puts a version back.
    #[utoipa::path(post, path = "/v1/restore", request_body = Restore, responses((status = 200, body = Restored)))]
    post "/v1/restore" restore(Json(restore): Json<Restore>) -> Restored, daemon => daemon.restore(restore).await?;
    /// Bytes to look at.
    #[utoipa::path(post, path = "/v1/cat", request_body = Cat, responses((status = 200, body = Content)))]
    post "/v1/cat" cat(Json(cat): Json<Cat>) -> Content, daemon => daemon.cat(cat).await?;
    /// How two sides differ.
    #[utoipa::path(post, path = "/v1/diff", request_body = Diff, responses((status = 200, body = Differs)))]
    post "/v1/diff" diff(Json(diff): Json<Diff>) -> Differs, daemon => daemon.diff(diff).await?;
    /// What a folder's patterns match, or others would.
    #[utoipa::path(post, path = "/v1/ignore", request_body = PreviewIgnore, responses((status = 200, body = Ignored)))]
    post "/v1/ignore" ignored(Json(preview): Json<PreviewIgnore>) -> Ignored, daemon => daemon.ignored(&preview.folder, preview.text).await?;
    /// Writes a folder's patterns.
    #[utoipa::path(post, path = "/v1/ignore/set", request_body = SetIgnore, responses((status = 200, body = Ignored)))]
    post "/v1/ignore/set" set_ignore(Json(set): Json<SetIgnore>) -> Ignored, daemon => daemon.set_ignore(set).await?;
    /// Pauses one folder, or all; for a time, or until they are resumed.
    #[utoipa::path(post, path = "/v1/pause", request_body = Pause, responses((status = 200, body = [FolderStatus])))]
    post "/v1/pause" pause(Json(pause): Json<Pause>) -> Vec<FolderStatus>, daemon => daemon.pause(pause).await?;
    /// Lets one folder go on, or all.
    #[utoipa::path(post, path = "/v1/resume", request_body = Which, responses((status = 200, body = [FolderStatus])))]
    post "/v1/resume" resume(Json(which): Json<Which>) -> Vec<FolderStatus>, daemon => daemon.resume(&which).await?;
    /// Takes back what was changed on a device that may read only; says what was put into the history.
    #[utoipa::path(post, path = "/v1/revert", request_body = Allow, responses((status = 200, body = [String])))]
    post "/v1/revert" revert(Json(which): Json<Allow>) -> Vec<String>, daemon => daemon.revert(&which.folder).await?;
    /// Takes a folder off this device; says what stays.
    #[utoipa::path(post, path = "/v1/remove", request_body = Remove, responses((status = 200, body = [String])))]
    post "/v1/remove" remove(Json(remove): Json<Remove>) -> Vec<String>, daemon => daemon.remove(remove).await?;
    /// Takes a device out of folders; says of which.
    #[utoipa::path(post, path = "/v1/device/remove", request_body = RemoveDevice, responses((status = 200, body = [String])))]
    post "/v1/device/remove" remove_device(Json(remove): Json<RemoveDevice>) -> Vec<String>, daemon => daemon.remove_device(remove).await?;
    /// Gives a device another role in folders; says in which.
    #[utoipa::path(post, path = "/v1/device/role", request_body = SetRole, responses((status = 200, body = [String])))]
    post "/v1/device/role" set_role(Json(set): Json<SetRole>) -> Vec<String>, daemon => daemon.set_role(set).await?;
    /// Has the disks looked at now.
    #[utoipa::path(post, path = "/v1/look", request_body = Which, responses((status = 200)))]
    post "/v1/look" look(Json(which): Json<Which>) -> (), daemon => daemon.look(&which).await?;
    /// Sets a damaged index aside and makes it anew.
    #[utoipa::path(post, path = "/v1/rebuild", request_body = Allow, responses((status = 200, body = FolderStatus)))]
    post "/v1/rebuild" rebuild(Json(which): Json<Allow>) -> FolderStatus, daemon => daemon.rebuild(&which.folder).await?;
    /// Merges what lies at a folder's place now as new.
    #[utoipa::path(post, path = "/v1/rejoin", request_body = Allow, responses((status = 200, body = FolderStatus)))]
    post "/v1/rejoin" rejoin(Json(which): Json<Allow>) -> FolderStatus, daemon => daemon.rejoin_folder(&which.folder).await?;
}

/// What happens, one JSON object a line, from now on. An empty line from time to time says that the daemon is still there.
#[utoipa::path(get, path = "/v1/events", responses((status = 200, body = Event, content_type = "application/x-ndjson")))]
async fn events(State(daemon): Running) -> Response {
    let events = BroadcastStream::new(daemon.events()).map(|event| match event {
        Ok(event) => serde_json::to_string(&event).map_err(io::Error::other),
        // Whoever listens is too slow, and is told that there is more to know than what comes.
        Err(_) => Ok(r#"{"event":"notice","message":"some events were left out; ask for the status"}"#.to_owned()),
    });
    let lines = events.map(|line| line.map(|line| format!("{line}\n")));
    let alive = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(STILL_THERE)).map(|_| Ok("\n".to_owned()));
    Body::from_stream(lines.merge(alive)).into_response()
}

/// Answers until `stop` resolves.
///
/// # Errors
/// If nothing can be listened on.
pub async fn serve(daemon: Arc<Daemon>, home: &Path, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let listener = listen(home)?;
    let serving = axum::serve(listener, routes().with_state(daemon)).into_future();
    tokio::select! {
        result = serving => result,
        () = stop => Ok(()),
    }
}
