//! The processes that the checks watch: this program again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::thread::UnshareFlags;

use super::{because, init::loopback_up};

/// First argument of a child.
pub const FLAG: &str = "--child";

/// A command that runs this program with a verb.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(FLAG).args(arguments);
    command
}

/// Starts a child and reads its first line.
pub fn start_and_read_line(arguments: &[&str]) -> Result<(Child, String), String> {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(because("starting a child"))?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("no output of the child")?;
    BufReader::new(output)
        .read_line(&mut line)
        .map_err(because("reading of a child"))?;
    Ok((child, line.trim().to_owned()))
}

/// Runs a verb.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match verb(&words) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("child {words:?}: {reason}");
            ExitCode::from(99)
        }
    }
}

fn verb(words: &[&str]) -> Result<u8, String> {
    match words {
        ["exit", code, ..] => number(code),
        ["wait"] => {
            println!("ready");
            std::io::stdout().flush().map_err(because("writing"))?;
            std::io::stdin()
                .read_to_end(&mut Vec::new())
                .map_err(because("waiting"))?;
            Ok(0)
        }
        ["threads", count] => threads(number(count)?),
        ["hog", mebibytes] => {
            let memory = vec![1u8; number::<usize>(mebibytes)? << 20];
            Ok(memory[memory.len() / 2])
        }
        ["in-cgroup", directory, rest @ ..] => {
            std::fs::write(Path::new(directory).join("cgroup.procs"), "0")
                .map_err(because("entering the cgroup"))?;
            Err(command(rest).exec().to_string())
        }
        ["storm", count] => {
            for _ in 0..number(count)? {
                command(&["exit", "0"])
                    .status()
                    .map_err(because("spawning"))?;
            }
            Ok(0)
        }
        ["in-pid-namespace", rest @ ..] => {
            unshare(UnshareFlags::NEWPID)?;
            let status = command(rest).status().map_err(because("spawning"))?;
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .ok_or_else(|| format!("{status}"))
        }
        ["network-namespace"] => network_namespace(),
        ["udp"] => super::packets::exchange().map(|_| 0),
        ["unreachable"] => unreachable_address(),
        _ => Err("unknown verb".to_owned()),
    }
}

/// All threads end at once, so that several see themselves as the last.
fn threads(count: usize) -> Result<u8, String> {
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(count + 1));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let barrier = barrier.clone();
            std::thread::spawn(move || barrier.wait())
        })
        .collect();
    barrier.wait();
    drop(threads);
    Ok(5)
}

/// A connection within a network namespace of its own, held open until standard input closes.
fn network_namespace() -> Result<u8, String> {
    unshare(UnshareFlags::NEWNET)?;
    loopback_up()?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(because("listening"))?;
    let port = listener
        .local_addr()
        .map_err(because("asking for the port"))?
        .port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).map_err(because("connecting"))?;
    let (mut server, _) = listener.accept().map_err(because("accepting"))?;
    client.write_all(&[1; 1234]).map_err(because("sending"))?;
    server
        .read_exact(&mut [0; 1234])
        .map_err(because("receiving"))?;
    let namespace =
        std::fs::read_link("/proc/self/ns/net").map_err(because("reading the namespace"))?;
    println!("{port} {}", namespace.display());
    std::io::stdout().flush().map_err(because("writing"))?;
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(because("waiting"))?;
    Ok(0)
}

/// Connects where no route leads; the exit code is the errno.
fn unreachable_address() -> Result<u8, String> {
    unshare(UnshareFlags::NEWNET)?;
    loopback_up()?;
    let address = "192.0.2.1:9"
        .parse()
        .map_err(because::<std::net::AddrParseError>("parsing"))?;
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Ok(_) => Err("connected to a documentation address".to_owned()),
        Err(error) => error
            .raw_os_error()
            .and_then(|code| u8::try_from(code).ok())
            .ok_or_else(|| error.to_string()),
    }
}

fn unshare(flags: UnshareFlags) -> Result<(), String> {
    // SAFETY: the child has one thread, and neither flag touches what Rust's library relies on.
    #[expect(unsafe_code, reason = "leaving a namespace")]
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(because("leaving a namespace"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    word.parse().map_err(because(word))
}
