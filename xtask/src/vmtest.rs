//! Boots a stock Debian kernel in QEMU with the capture's checks as init.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::{ebpf, initramfs, install, tree};

/// The package that depends on the newest kernel of the release.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Boot and checks on a busy machine. There is no acceleration: a KVM inside of a virtual machine is
/// not always a whole one.
const PATIENCE: Duration = Duration::from_secs(600);

/// How the machine's cgroups are mounted; `init` reads it from its environment.
const BOOTS: &[(&str, &str)] = &[("cgroup v2 only", "v2"), ("cgroup v1 only", "v1")];

/// Runs all boots.
pub fn run() -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "vmtest boots Debian's amd64 kernel and needs an x86-64 machine"
    );
    let sh = Shell::new()?;
    ebpf::build(&sh)?;
    install::ensure(
        &install::TEST
            .iter()
            .copied()
            .filter(|need| need.package == "qemu-system-x86")
            .collect::<Vec<_>>(),
    )?;
    let folder = tree::target().join("vmtest");
    sh.create_dir(&folder)?;
    let kernel = kernel(&sh, &folder)?;
    let init = init(&sh, &folder)?;
    let initramfs = folder.join("initramfs.cpio");
    initramfs::write(&initramfs, &init).context("writing the initramfs")?;
    for (title, cgroups) in BOOTS {
        println!("--- {}, {title}", kernel.display());
        boot(&kernel, &initramfs, cgroups).with_context(|| format!("vmtest, {title}"))?;
    }
    Ok(())
}

/// The kernel of the newest package, fetched by apt once.
fn kernel(sh: &Shell, folder: &Path) -> Result<PathBuf> {
    let newest = || -> Result<String> {
        let text = cmd!(
            sh,
            "apt-cache depends --no-recommends --no-suggests {META_PACKAGE}"
        )
        .quiet()
        .ignore_stderr()
        .read()?;
        text.lines()
            .find_map(|line| {
                line.trim()
                    .strip_prefix("Depends: ")
                    .filter(|name| name.starts_with("linux-image-"))
            })
            .map(str::to_owned)
            .with_context(|| format!("apt knows no {META_PACKAGE}"))
    };
    let package = match newest() {
        Ok(package) => package,
        Err(_) if tree::is_root() => {
            install::apt(&["update"], &[])?;
            newest()?
        }
        Err(error) => {
            return Err(error.context("needs Debian's package lists (`apt-get update` as root)"));
        }
    };
    let unpacked = folder.join(&package);
    if !unpacked.is_dir() {
        let download = folder.join("download");
        sh.remove_path(&download)?;
        sh.create_dir(&download)?;
        let _here = sh.push_dir(&download);
        // As root apt drops its privileges for downloads, which a folder of ours does not allow.
        cmd!(
            sh,
            "apt-get -q -o APT::Sandbox::User=root download {package}"
        )
        .run()
        .with_context(|| format!("fetching {package}"))?;
        let archive = sh
            .read_dir(&download)?
            .into_iter()
            .next()
            .with_context(|| format!("apt-get left no {package}"))?;
        let fresh = folder.join("unpacked");
        sh.remove_path(&fresh)?;
        cmd!(sh, "dpkg-deb -x {archive} {fresh}")
            .run()
            .with_context(|| format!("unpacking {package}"))?;
        fs::rename(&fresh, &unpacked).context("keeping the kernel")?;
        sh.remove_path(&download)?;
    }
    sh.read_dir(unpacked.join("boot"))?
        .into_iter()
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("{package} has no kernel"))
}

/// The checks, linked statically.
fn init(sh: &Shell, folder: &Path) -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let build = folder.join("build");
    let _here = sh.push_dir(tree::root());
    cmd!(sh, "{cargo} build --locked -p mesoscope-capture --example capture-selftest --target {TRIPLE} --target-dir {build}")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("RUSTFLAGS")
    // The guest has no acceleration: unoptimised code takes minutes there.
    .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
        .run()
        .context("building the checks")?;
    Ok(build.join(TRIPLE).join("debug/examples/capture-selftest"))
}

fn boot(kernel: &Path, initramfs: &Path, cgroups: &str) -> Result<()> {
    let mut machine = tree::command("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1024",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
        ])
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 MESOSCOPE_CGROUPS={cgroups}"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting QEMU")?;
    let output = machine.stdout.take().context("QEMU has no output")?;
    let (lines, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if lines
                .send(String::from_utf8_lossy(&line).trim_end().to_owned())
                .is_err()
            {
                return;
            }
        }
    });
    let end = Instant::now() + PATIENCE;
    let verdict = loop {
        match received.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                std::io::stdout().flush().ok();
                if line.contains("VMTEST PASS") {
                    break Ok(());
                }
                if let Some((_, reason)) = line.split_once("VMTEST FAIL") {
                    break Err(reason.trim().to_owned());
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                break Err(format!("no verdict within {} s", PATIENCE.as_secs()));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                break Err("the machine stopped without a verdict".to_owned());
            }
        }
    };
    // It powers itself off; one that hangs is ended.
    let off = Instant::now() + Duration::from_secs(5);
    while Instant::now() < off && machine.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    machine.kill().ok();
    machine.wait()?;
    if let Err(reason) = verdict {
        bail!("{reason}");
    }
    Ok(())
}
