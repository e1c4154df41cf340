//! Debian packages that are missing, and only those.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tree;

/// Something that a job needs from the system.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// One of these programs is enough.
    pub programs: &'static [&'static str],
    /// The package that brings it.
    pub package: &'static str,
    /// What it is for.
    pub reason: &'static str,
}

const fn need(
    programs: &'static [&'static str],
    package: &'static str,
    reason: &'static str,
) -> Need {
    Need {
        programs,
        package,
        reason,
    }
}

/// To build and run.
pub const UP: &[Need] = &[
    need(
        &["cc", "gcc", "clang"],
        "gcc",
        "the C parts of rustls' ring",
    ),
    need(&["mount"], "mount", "tracefs"),
];

/// To run every test.
pub const TEST: &[Need] = &[
    need(
        &["dockerd"],
        "docker.io",
        "containers to watch, and the image",
    ),
    need(
        &["docker"],
        "docker.io",
        "containers to watch, and the image",
    ),
    need(
        &["chromium", "chromium-browser"],
        "chromium",
        "the page's end-to-end tests",
    ),
    need(&["qemu-system-x86_64"], "qemu-system-x86", "vmtest"),
    need(&["busybox"], "busybox-static", "the tests' own images"),
    need(&["ip"], "iproute2", "network namespaces of the tests"),
    need(&["iptables"], "iptables", "address translation to watch"),
    need(&["conntrack"], "conntrack", "address translation to watch"),
    need(&["crun"], "crun", "the DaemonSet's third variant"),
    need(&["debootstrap"], "debootstrap", "the base of the image"),
];

/// To compare with what a user runs today.
pub const BENCH: &[Need] = &[
    need(&["busybox"], "busybox-static", "the benches' containers"),
    need(
        &["bpftool"],
        "bpftool",
        "lists the kernel programs that a killed agent has left",
    ),
    need(
        &["execsnoop"],
        "libbpf-tools",
        "the tools that the benches compare with",
    ),
];

/// To measure the page.
pub const BROWSER: &[Need] = &[need(
    &["chromium", "chromium-browser"],
    "chromium",
    "the browser that the page is measured in",
)];

/// To fetch our own Node, or the deploy tests' Python packages.
pub const PYTHON: &[Need] = &[need(
    &["python3"],
    "python3",
    "carries Node and the tests' validators into target/tools",
)];

/// Packages that `needs` lack here, each once.
fn missing(needs: &[Need]) -> Vec<Need> {
    let mut lacking: Vec<Need> = Vec::new();
    for &need in needs {
        let there = need
            .programs
            .iter()
            .any(|program| tree::on_path(program).is_some());
        if !there && lacking.iter().all(|other| other.package != need.package) {
            lacking.push(need);
        }
    }
    lacking
}

/// Installs what is missing, or says what to install.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let lacking = missing(needs);
    for need in &lacking {
        println!("missing: {} ({})", need.package, need.reason);
    }
    packages(&lacking.iter().map(|need| need.package).collect::<Vec<_>>())
}

/// Installs these packages.
pub fn packages(names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let list = names.join(" ");
    if tree::on_path("apt-get").is_none() {
        bail!("this is not a Debian system: install what these packages hold yourself: {list}");
    }
    if !tree::is_root() {
        bail!("not root: run `apt-get install {list}` as root, then try again");
    }
    // The package lists may be absent or stale; a second try after `update` settles both.
    if apt(&["install"], names).is_err() {
        apt(&["update"], &[])?;
        apt(&["install"], names)?;
    }
    Ok(())
}

/// Runs apt-get; waits for another one that runs.
pub fn apt(verb: &[&str], names: &[&str]) -> Result<()> {
    let lock_wait = Duration::from_secs(300).as_secs();
    let status = tree::command("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-y", "-o"])
        .arg(format!("DPkg::Lock::Timeout={lock_wait}"))
        .args(verb)
        .args(if verb == ["install"] {
            &["--no-install-recommends"][..]
        } else {
            &[]
        })
        .args(names)
        .status()
        .context("running apt-get")?;
    if !status.success() {
        bail!(
            "apt-get {} {} failed: {status}",
            verb.join(" "),
            names.join(" ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_asked_for_once_and_only_when_its_programs_are_missing() {
        let needs = [
            need(&["sh"], "dash", "there"),
            need(&["no-such-program", "sh"], "dash", "one of two is enough"),
            need(&["no-such-program"], "nothing", "missing"),
            need(&["no-other-program"], "nothing", "missing too"),
        ];
        let lacking = missing(&needs);
        assert_eq!(lacking.len(), 1);
        assert_eq!(lacking[0].package, "nothing");
    }
}
