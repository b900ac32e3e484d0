//! Tells Tauri of the window program.

fn main() {
    tauri_build::build();
}
