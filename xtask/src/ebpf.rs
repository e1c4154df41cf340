//! Builds the kernel programs: `target/bpf/mesoscope.o`, which the capture embeds.
//!
//! The target is bpfel-unknown-none, for which rustup ships no `core`. Two toolchains can build it: a
//! nightly with `rust-src` (it compiles `core` itself), and a distribution's rustc that ships `core`
//! for it (Debian's `rustc-web`). Either needs `bpf-linker`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::{install, tree};

const TARGET: &str = "bpfel-unknown-none";
/// Version of bpf-linker that is known to work with LLVM 22.
const LINKER_VERSION: &str = "0.13.0";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// Debian's rustc with `core` for bpfel, and what bpf-linker is built against.
const DEBIAN_RUSTC: &[&str] = &[
    "rustc-web",
    "libstd-rust-web-dev",
    "libstd-rust-web-dev-bpf",
];
const DEBIAN_LLVM: &[&str] = &["llvm-22-dev", "libzstd-dev", "zlib1g-dev", "g++"];

/// What compiles the programs.
enum Toolchain {
    /// rustup's nightly, compiling `core` from its sources.
    Nightly,
    /// A distribution's rustc.
    Distribution(PathBuf),
}

/// Builds the programs unless they are up to date; gives the path of the object.
pub fn build(sh: &Shell) -> Result<PathBuf> {
    let folder = tree::root().join("target/bpf");
    let object = folder.join("mesoscope.o");
    let stamp = folder.join("built");
    if object.is_file() && newest_source()? <= modified(&stamp) {
        println!("kernel programs are up to date: {}", object.display());
        return Ok(object);
    }
    let toolchain = toolchain(sh)?;
    let linker = linker(sh)?;
    let begun = SystemTime::now();
    let built = compile(sh, &toolchain, &linker, &folder.join("build"))?;
    let bytes = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
    // An object that did not change keeps its time, so that nothing that embeds it builds again.
    if fs::read(&object).ok().as_deref() != Some(&bytes[..]) {
        let fresh = folder.join("mesoscope.o.new");
        fs::write(&fresh, &bytes)
            .and_then(|()| fs::rename(&fresh, &object))
            .with_context(|| format!("writing {}", object.display()))?;
    }
    // As old as the sources were when the build began: what changed meanwhile is built next time.
    let file = fs::File::create(&stamp).context("noting the build")?;
    file.set_modified(begun).context("noting the build")?;
    println!(
        "kernel programs: {} ({} bytes)",
        object.display(),
        bytes.len()
    );
    Ok(object)
}

fn compile(sh: &Shell, toolchain: &Toolchain, linker: &Path, folder: &Path) -> Result<PathBuf> {
    let _here = sh.push_dir(tree::root().join("agent-ebpf"));
    let _linker = sh.push_env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    let flags = ["build", "--release", "--locked", "--target", TARGET];
    let command = match toolchain {
        Toolchain::Nightly => cmd!(
            sh,
            "rustup run nightly cargo {flags...} -Z build-std=core --target-dir {folder}"
        ),
        Toolchain::Distribution(rustc) => {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            cmd!(sh, "{cargo} {flags...} --target-dir {folder}")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
        }
    };
    // Flags and wrappers meant for the host's crates do not fit another compiler and target.
    let command = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
    ]
    .into_iter()
    .fold(command, |command, name| match (toolchain, name) {
        // cargo itself may be rustup's proxy, which needs it.
        (Toolchain::Distribution(_), "RUSTUP_TOOLCHAIN") => command,
        _ => command.env_remove(name),
    });
    command.run().context("compiling agent-ebpf")?;
    Ok(folder.join(TARGET).join("release/mesoscope"))
}

/// Finds a compiler, installing Debian's when this is Debian and we are root.
fn toolchain(sh: &Shell) -> Result<Toolchain> {
    if nightly_has_sources(sh) {
        return Ok(Toolchain::Nightly);
    }
    if let Some(rustc) = distribution_rustc(sh) {
        return Ok(Toolchain::Distribution(rustc));
    }
    let rustup = "rustup toolchain install nightly --component rust-src";
    install::packages(DEBIAN_RUSTC).with_context(|| {
        format!(
            "no compiler for {TARGET}: either `{rustup}`, or Debian's {}",
            DEBIAN_RUSTC.join(", ")
        )
    })?;
    match distribution_rustc(sh) {
        Some(rustc) => Ok(Toolchain::Distribution(rustc)),
        None => bail!(
            "the distribution's rustc ships no `core` for {TARGET}: `{rustup}`, then try again"
        ),
    }
}

fn nightly_has_sources(sh: &Shell) -> bool {
    let Ok(toolchains) = cmd!(sh, "rustup toolchain list")
        .quiet()
        .ignore_stderr()
        .read()
    else {
        return false;
    };
    if !toolchains.lines().any(|line| line.starts_with("nightly-")) {
        return false;
    }
    cmd!(sh, "rustup run nightly rustc --print sysroot")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|sysroot| {
            Path::new(&sysroot)
                .join("lib/rustlib/src/rust/library/core")
                .is_dir()
        })
}

/// A rustc outside of rustup that ships `core` for the target.
fn distribution_rustc(sh: &Shell) -> Option<PathBuf> {
    ["/usr/bin/rustc", "/usr/local/bin/rustc"]
        .into_iter()
        .map(PathBuf::from)
        .find(|rustc| {
            rustc.is_file()
                && cmd!(sh, "{rustc} --print target-libdir --target {TARGET}")
                    .quiet()
                    .ignore_stderr()
                    .read()
                    .ok()
                    .and_then(|folder| fs::read_dir(folder).ok())
                    .is_some_and(|files| {
                        files
                            .flatten()
                            .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
                    })
        })
}

/// bpf-linker: the one on PATH or of cargo, else built into target/tools.
fn linker(sh: &Shell) -> Result<PathBuf> {
    let tools = tree::tools();
    let own = tools.join("bin/bpf-linker");
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let known = tree::on_path("bpf-linker")
        .into_iter()
        .chain(cargo_home.map(|home| home.join("bin/bpf-linker")))
        .chain([own.clone()]);
    if let Some(linker) = known.into_iter().find(|path| path.is_file()) {
        return Ok(linker);
    }
    if !Path::new(LLVM_PREFIX).is_dir() || tree::on_path("g++").is_none() {
        install::packages(DEBIAN_LLVM).with_context(|| {
            format!("no bpf-linker: install it (https://github.com/aya-rs/bpf-linker), or Debian's {} so that it can be built here", DEBIAN_LLVM.join(", "))
        })?;
    }
    println!(
        "building bpf-linker {LINKER_VERSION} into {}",
        tools.display()
    );
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    cmd!(sh, "{cargo} install bpf-linker --locked --version {LINKER_VERSION} --no-default-features --features llvm-22 --root {tools}")
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .run()
        .context("building bpf-linker")?;
    ensure!(own.is_file(), "cargo install left no {}", own.display());
    Ok(own)
}

/// When the newest of what the object is made from was changed.
fn newest_source() -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders = vec![tree::root().join("agent-ebpf")];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            if entry.file_name() == "target" {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                newest = newest.max(modified(&entry.path()));
            }
        }
    }
    Ok(newest)
}

/// When a file was changed; long ago when there is none.
fn modified(path: &Path) -> SystemTime {
    fs::metadata(path)
        .and_then(|data| data.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
