//! Being process 1 of a virtual machine that holds nothing but this program.

use std::{fs, process::ExitCode};

use rustix::{
    mount::{MountFlags, mount},
    net::{AddressFamily, SendFlags, SocketType},
    system::{RebootCommand, reboot},
};

use super::{Outcome, all, because};

/// Sets the machine up, runs all checks, says PASS or FAIL and turns the machine off.
pub fn run_all() -> Outcome {
    prepare()?;
    println!(
        "kernel {}",
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
    );
    match super::run(all()) {
        0 => Ok(()),
        failed => Err(format!("{failed} checks failed")),
    }
}

/// What process 1 does.
pub fn run() -> ExitCode {
    match run_all() {
        Ok(()) => println!("VMTEST PASS"),
        Err(reason) => println!("VMTEST FAIL {reason}"),
    }
    rustix::fs::sync();
    // If this is refused, the kernel panics over init's end, which ends the machine too.
    let _ = reboot(RebootCommand::PowerOff);
    ExitCode::FAILURE
}

fn prepare() -> Outcome {
    for (kind, path) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("tracefs", "/sys/kernel/tracing"),
    ] {
        mount_at(kind, path, None)?;
    }
    if std::env::var("MESOSCOPE_CGROUPS").is_ok_and(|cgroups| cgroups == "v1") {
        mount_at("tmpfs", "/sys/fs/cgroup", None)?;
        mount_at("cgroup", "/sys/fs/cgroup/memory", Some(c"memory"))?;
    } else {
        mount_at("cgroup2", "/sys/fs/cgroup", None)?;
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids")
            .map_err(because("turning controllers on"))?;
    }
    loopback_up()
}

fn mount_at(kind: &str, path: &str, options: Option<&std::ffi::CStr>) -> Outcome {
    // What the kernel has mounted itself, or made in sysfs, is there already.
    let _ = fs::create_dir_all(path);
    mount(kind, path, kind, MountFlags::empty(), options)
        .map_err(because(&format!("mounting {path}")))
}

/// Brings the loopback interface up: RTM_NEWLINK with IFF_UP for interface 1 (rtnetlink(7)).
pub fn loopback_up() -> Outcome {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]); // sequence, port
    message.extend([0; 4]); // family, padding, device type
    message.extend(1u32.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    let socket = rustix::net::socket(
        AddressFamily::NETLINK,
        SocketType::RAW,
        None, // 0 is NETLINK_ROUTE
    )
    .map_err(because("opening rtnetlink"))?;
    rustix::net::send(&socket, &message, SendFlags::empty())
        .map_err(because("asking for the loopback interface"))?;
    let mut answer = [0u8; 256];
    let (_, len) = rustix::net::recv(&socket, &mut answer[..], rustix::net::RecvFlags::empty())
        .map_err(because("reading of rtnetlink"))?;
    match answer.get(16..20).filter(|_| len >= 20) {
        Some([0, 0, 0, 0]) => Ok(()),
        error => Err(format!(
            "the loopback interface does not come up: {error:?}"
        )),
    }
}
