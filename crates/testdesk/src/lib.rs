//! A private desktop for each program: its own display, session bus, directories and WebDriver, so that tests can run side by side, and
//! a program is never taken for another one's second start.
//!
//! A crate of its own, and no dev-dependency of the tests, so that one set of features is compiled for all that the checks do.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "in a test tool a panic is a failed test, and says where"
)]

use fantoccini::{Client, ClientBuilder, Locator};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until something is found.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Waits until a file has some text.
pub async fn has(path: &Path, text: &str) {
    until(&format!("{} is {text:?}", path.display()), async || {
        (std::fs::read_to_string(path).ok()? == text).then_some(())
    })
    .await;
}

struct Watcher(mpsc::UnboundedSender<(String, String)>);
#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    async fn register_status_notifier_item(&self, service: String, #[zbus(header)] header: zbus::message::Header<'_>) {
        let from = header.sender().map(ToString::to_string).unwrap_or_default();
        let _ = self.0.send((from, service));
    }
    async fn register_status_notifier_host(&self, _service: String) {}
    #[zbus(property)]
    async fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }
    #[zbus(property)]
    async fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
    #[zbus(property)]
    async fn protocol_version(&self) -> i32 {
        0
    }
}

struct Notifications(mpsc::UnboundedSender<String>);
#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    #[allow(clippy::too_many_arguments, reason = "as the standard has it")]
    async fn notify(
        &self,
        _app: String,
        _replaces: u32,
        _icon: String,
        _summary: String,
        body: String,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        let _ = self.0.send(body);
        1
    }
    async fn get_capabilities(&self) -> Vec<String> {
        vec!["body".into()]
    }
    async fn get_server_information(&self) -> (String, String, String, String) {
        ("test".into(), "test".into(), "1".into(), "1.2".into())
    }
}

/// A desktop, with a tray if that is wanted.
pub struct Desk {
    /// The program.
    app: PathBuf,
    /// Where its user's directories are.
    pub dir: tempfile::TempDir,
    name: String,
    display: String,
    bus: String,
    connection: Option<zbus::Connection>,
    items: mpsc::UnboundedReceiver<(String, String)>,
    /// What notifications said.
    pub notes: mpsc::UnboundedReceiver<String>,
    tray: Option<(String, String)>,
    _children: Vec<Process>,
    driver: Option<Process>,
}

/// A program that ends with the test.
pub struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Process {
        let program = command.get_program().to_owned();
        Process(
            command
                .spawn()
                .unwrap_or_else(|e| panic!("{program:?} cannot be started: {e}")),
        )
    }

    /// Waits until it ends.
    pub async fn ends(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "a program does not end");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The first line that it says. What it says after that is read, and thrown away.
    fn first_line(&mut self) -> String {
        let mut reader = BufReader::new(self.0.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        line.trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Desk {
    /// For a program.
    pub async fn new(app: &str, name: &str, with_tray: bool) -> Desk {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]);
        let mut screen = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let display = format!(":{}", screen.first_line());
        let mut command = Command::new("dbus-daemon");
        command
            .args(["--session", "--nofork", "--print-address=1"])
            .env("DISPLAY", &display);
        let mut bus = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let address = bus.first_line();
        let (send_item, items) = mpsc::unbounded_channel();
        let (send_note, notes) = mpsc::unbounded_channel();
        let connection = if with_tray {
            let builder = zbus::connection::Builder::address(address.as_str()).unwrap();
            let builder = builder.serve_at("/StatusNotifierWatcher", Watcher(send_item)).unwrap();
            let builder = builder
                .serve_at("/org/freedesktop/Notifications", Notifications(send_note))
                .unwrap();
            let builder = builder.name("org.kde.StatusNotifierWatcher").unwrap();
            let builder = builder.name("org.freedesktop.Notifications").unwrap();
            Some(builder.build().await.unwrap())
        } else {
            None
        };
        Desk {
            app: app.into(),
            dir: tempfile::tempdir().unwrap(),
            name: name.to_owned(),
            display,
            bus: address,
            connection,
            items,
            notes,
            tray: None,
            _children: vec![screen, bus],
            driver: None,
        }
    }

    /// A path in its user's directories.
    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A program on this desktop.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let home = self.dir.path();
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("GDK_BACKEND", "x11")
            .env("WEBKIT_SKIA_ENABLE_CPU_RENDERING", "1")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env_remove("WAYLAND_DISPLAY")
            .stderr(Stdio::from(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(home.join(format!("{}.err", self.name)))
                    .unwrap(),
            ));
        command
    }

    /// The arguments of all programs: they find each other on this computer alone.
    pub fn args(&self) -> Vec<String> {
        ["--listen", "127.0.0.1:0", "--relay", "off", "--no-lan", "--name", &self.name]
            .map(str::to_owned)
            .to_vec()
    }

    /// Starts the program a second time, which ends by itself.
    pub async fn second(&self, arg: &str) -> ExitStatus {
        Process::start(self.command(&self.app).args(self.args()).arg(arg))
            .ends()
            .await
    }

    /// Starts the program, and drives its window.
    pub async fn window(&mut self) -> Window {
        self.window_with(self.args()).await
    }

    /// The same, with these arguments.
    pub async fn window_with(&mut self, args: Vec<String>) -> Window {
        // (What an earlier program said is not of this one.)
        while self.items.try_recv().is_ok() {}
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        self.driver = Some(Process::start(self.command("WebKitWebDriver").arg(format!("--port={port}"))));
        until("the driver", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        let wanted = serde_json::json!({"browserName": "wry", "webkitgtk:browserOptions": {"binary": self.app, "args": args}});
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(wanted.as_object().cloned().unwrap());
        let url = format!("http://127.0.0.1:{port}");
        let client = tokio::time::timeout(PATIENCE, builder.connect(&url)).await.unwrap().unwrap();
        if self.connection.is_some() {
            self.tray = tokio::time::timeout(PATIENCE, self.items.recv()).await.unwrap();
        }
        Window(client)
    }

    /// Starts the program without a window.
    pub async fn hidden(&mut self) -> Process {
        let mut args = self.args();
        args.push("--hidden".into());
        while self.items.try_recv().is_ok() {}
        let child = Process::start(self.command(&self.app).args(args));
        self.tray = tokio::time::timeout(PATIENCE, self.items.recv()).await.unwrap();
        child
    }

    async fn menu(&self) -> Option<(zbus::Proxy<'static>, HashMap<String, i32>)> {
        let (name, path) = self.tray.clone()?;
        let bus = self.connection.as_ref()?;
        let item = zbus::Proxy::new(bus, name.clone(), path, "org.kde.StatusNotifierItem")
            .await
            .ok()?;
        let path: OwnedObjectPath = item.get_property("Menu").await.ok()?;
        let menu = zbus::Proxy::new(bus, name, path, "com.canonical.dbusmenu").await.ok()?;
        let (_, root): (u32, Node) = menu.call("GetLayout", &(0i32, -1i32, Vec::<String>::new())).await.ok()?;
        let mut labels = HashMap::new();
        collect(root, &mut labels);
        Some((menu, labels))
    }

    /// Waits until a line of the tray's menu begins so.
    pub async fn tray_says(&self, beginning: &str) {
        let seen = async || self.menu().await?.1.into_keys().find(|label| label.starts_with(beginning));
        until(&format!("the tray says {beginning:?}"), seen).await;
    }

    /// Clicks a line of the tray's menu.
    pub async fn tray_click(&self, label: &str) {
        let (menu, id) = until(&format!("the tray has {label:?}"), async || {
            let (menu, labels) = self.menu().await?;
            Some((menu, *labels.get(label)?))
        })
        .await;
        let () = menu.call("Event", &(id, "clicked", Value::from(0i32), 0u32)).await.unwrap();
    }

    /// What the program said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.at(&format!("{}.err", self.name))).unwrap_or_default()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {} said:\n{}", self.name, self.said());
        }
    }
}

type Node = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

fn collect(node: Node, labels: &mut HashMap<String, i32>) {
    if let Some(label) = node.1.get("label").and_then(|v| String::try_from(v.clone()).ok()) {
        labels.insert(label, node.0);
    }
    for child in node.2 {
        if let Ok(child) = zbus::zvariant::Structure::try_from(child)
            && let Ok(child) = Node::try_from(child)
        {
            collect(child, labels);
        }
    }
}

/// The program's window.
pub struct Window(
    /// Its driver.
    pub Client,
);

fn css(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}

impl Window {
    /// A picture of the window, in the directory for temporary files.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let drawn = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(1)))";
        let _ = self.0.execute_async(drawn, Vec::new()).await;
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = std::env::temp_dir().join(format!("bifold-window-{}-{name}.png", std::process::id()));
        if let Ok(png) = self.0.screenshot().await {
            let _ = std::fs::write(&path, png);
        }
        path
    }

    /// The value of a field.
    pub async fn value(&self, css: &str) -> Option<String> {
        let field = self.0.find(Locator::Css(css)).await.ok()?;
        field.prop("value").await.ok().flatten()
    }

    /// Clicks what has this test id.
    pub async fn click(&self, id: &str) {
        self.click_css(&css(id)).await;
    }

    /// Clicks an element.
    pub async fn click_css(&self, css: &str) {
        until(&format!("{css} is clicked"), async || {
            self.0.find(Locator::Css(css)).await.ok()?.click().await.ok()
        })
        .await;
    }

    /// Types into what has this test id.
    pub async fn type_into(&self, id: &str, text: &str) {
        until(&format!("{id} is typed into"), async || {
            let element = self.0.find(Locator::Css(&css(id))).await.ok()?;
            element.send_keys(text).await.ok()
        })
        .await;
    }

    /// Waits until an element has a text that is good.
    pub async fn text(&self, css: &str, good: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(element) = self.0.find(Locator::Css(css)).await
                && let Ok(Some(text)) = element.prop("textContent").await
            {
                if good(&text) {
                    return text;
                }
                last = text;
            }
            if Instant::now() > end {
                let picture = self.picture(css).await;
                panic!("{css}: its text is {last:?}; the window: {}", picture.display());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}
