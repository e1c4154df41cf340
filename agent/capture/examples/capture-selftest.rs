//! The checks of `tests/kernel.rs` as a program of its own: on a machine that has no Rust, or as the
//! init of a virtual machine (`cargo xtask vmtest`).

#[path = "../tests/checks/mod.rs"]
mod checks;

fn main() -> std::process::ExitCode {
    checks::main()
}
