//! One pass over all sockets of all processes.

use std::io::Read;

use aya::{Ebpf, programs::Program};
use mesoscope_events::records::SocketEntry;
use rustc_hash::FxHashMap;

use crate::{
    CaptureError, Socket, decode,
    error::{chain, kernel},
    programs::SNAPSHOT,
};

/// The kernel fills at most this much per read (`PAGE_SIZE << 3` in kernel/bpf/bpf_iter.c).
const READ_BYTES: usize = 32 << 10;

/// Reads the sockets. A socket that several processes hold (inherited over fork) is told once, with
/// the process that started first: it is the one that opened it.
pub fn read(ebpf: &mut Ebpf, malformed: &mut u64) -> Result<Vec<Socket>, CaptureError> {
    let mut file = open(ebpf)?;
    let mut buffer = vec![0u8; READ_BYTES];
    let mut rest = 0usize;
    let mut sockets: Vec<Socket> = Vec::new();
    let mut by_cookie: FxHashMap<u64, usize> = FxHashMap::default();
    loop {
        let read = match file.read(&mut buffer[rest..]) {
            Ok(0) => break,
            Ok(read) => read,
            // The iterator was rescheduled before it had something to show.
            Err(error) if matches!(error.raw_os_error(), Some(4 | 11)) => continue,
            Err(error) => return Err(CaptureError::Snapshot(error)),
        };
        let filled = rest + read;
        let mut entries = buffer[..filled].chunks_exact(SocketEntry::SIZE);
        for entry in &mut entries {
            match decode::socket(entry) {
                Some(socket) => add(&mut sockets, &mut by_cookie, socket),
                None => *malformed += 1,
            }
        }
        rest = entries.remainder().len();
        buffer.copy_within(filled - rest..filled, 0);
    }
    Ok(sockets)
}

fn add(sockets: &mut Vec<Socket>, by_cookie: &mut FxHashMap<u64, usize>, socket: Socket) {
    match by_cookie.entry(socket.cookie) {
        std::collections::hash_map::Entry::Vacant(entry) => {
            entry.insert(sockets.len());
            sockets.push(socket);
        }
        std::collections::hash_map::Entry::Occupied(entry) => {
            let known = &mut sockets[*entry.get()];
            let age = |socket: &Socket| {
                (
                    socket.process.start_boottime_ns,
                    socket.process.pid,
                    socket.fd,
                )
            };
            if age(&socket) < age(known) {
                *known = socket;
            }
        }
    }
}

/// A fresh run of the iterator. Link and run go with the file.
fn open(ebpf: &mut Ebpf) -> Result<std::fs::File, CaptureError> {
    let doing = "opening the socket iterator";
    let Some(Program::Iter(program)) = ebpf.program_mut(SNAPSHOT) else {
        return Err(CaptureError::NoSnapshot(
            "the object has no iterator".to_owned(),
        ));
    };
    let link = program
        .attach()
        .map_err(|error| kernel(doing, chain(&error)))?;
    let link = program
        .take_link(link)
        .map_err(|error| kernel(doing, chain(&error)))?;
    link.into_file()
        .map_err(|error| kernel(doing, chain(&error)))
}
