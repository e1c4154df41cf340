//! The last step before a plugin's program: in a process of its own, the agent gives up what it may do,
//! sets the limits, and becomes the program. It needs no code between fork and exec, where little is
//! allowed.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use rustix::thread;

use crate::manifest::ProgramLimits;
use crate::user::User;

/// First argument of the agent's binary when it is to become a plugin.
pub const LAUNCH: &str = "launch-plugin";
/// Largest file that a plugin may write.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Below what the node runs.
const NICENESS: i32 = 10;
/// As of env(1), where a program can't be run.
const NOT_RUN: u8 = 126;

/// Arguments for the agent's binary that make it become `command`.
#[must_use]
pub fn arguments(user: User, limits: ProgramLimits, command: &[String]) -> Vec<String> {
    let numbers = [
        u64::from(std::process::id()),
        user.uid.into(),
        user.gid.into(),
        limits.memory_bytes,
        limits.open_files,
        limits.processes,
    ];
    let first = std::iter::once(LAUNCH.to_owned());
    let numbers = numbers.iter().map(u64::to_string);
    first
        .chain(numbers)
        .chain(command.iter().cloned())
        .collect()
}

/// Becomes a plugin when the arguments of this process say so; then it comes back only to tell that
/// it can't.
#[must_use]
pub fn if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != LAUNCH {
        return None;
    }
    let rest: Vec<OsString> = arguments.collect();
    let error = launch(&rest);
    eprintln!("the agent can not start this plugin: {error}");
    Some(ExitCode::from(NOT_RUN))
}

/// Comes back only with an error.
fn launch(arguments: &[OsString]) -> io::Error {
    let [
        parent,
        uid,
        gid,
        memory,
        files,
        processes,
        program,
        words @ ..,
    ] = arguments
    else {
        return io::Error::other("this is for the agent itself");
    };
    let number = |text: &OsString| {
        let parsed = text.to_str().and_then(|text| text.parse::<u64>().ok());
        parsed.ok_or_else(|| io::Error::other("this is for the agent itself"))
    };
    let prepared = (|| -> io::Result<()> {
        let limits = ProgramLimits {
            memory_bytes: number(memory)?,
            open_files: number(files)?,
            processes: number(processes)?,
        };
        set_limits(limits)?;
        let id = |text: &OsString| {
            let id = u32::try_from(number(text)?).map_err(io::Error::other)?;
            Ok::<u32, io::Error>(id)
        };
        become_user(User {
            uid: id(uid)?,
            gid: id(gid)?,
        })?;
        // Kept over exec, but not over a change of user.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let parent = number(parent)?;
        let has_parent = rustix::process::getppid()
            .is_some_and(|pid| u64::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
        if has_parent {
            Ok(())
        } else {
            Err(io::Error::other("the agent has gone"))
        }
    })();
    match prepared {
        Ok(()) => {
            let error = Command::new(program).args(words).exec();
            let shown = program.to_string_lossy();
            io::Error::new(error.kind(), format!("{shown}: {error}"))
        }
        Err(error) => error,
    }
}

fn set_limits(limits: ProgramLimits) -> io::Result<()> {
    let set = |resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    set(Resource::Core, 0)?;
    set(Resource::Data, limits.memory_bytes)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Nproc, limits.processes)?;
    set(Resource::Fsize, FILE_BYTES_MAX)?;
    set(Resource::Memlock, 0)?;
    rustix::process::setpriority_process(None, NICENESS)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o007));
    Ok(())
}

fn become_user(user: User) -> io::Result<()> {
    thread::set_no_new_privs(true)?;
    thread::clear_ambient_capability_set()?;
    let (own_uid, own_gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let is_already = own_uid.as_raw() == user.uid && own_gid.as_raw() == user.gid;
    if is_already {
        return Ok(());
    }
    let (uid, gid) = (
        rustix::process::Uid::from_raw(user.uid),
        rustix::process::Gid::from_raw(user.gid),
    );
    // This process has one thread.
    thread::set_thread_groups(&[])?;
    thread::set_thread_res_gid(gid, gid, gid)?;
    thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
