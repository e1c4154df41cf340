//! An initramfs that holds one program: cpio's `newc` format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{fs, io, path::Path};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Writes an archive with `program` as `/init`, and the console that the kernel gives it.
pub fn write(archive: &Path, program: &Path) -> io::Result<()> {
    let program = fs::read(program)?;
    let mut bytes = Vec::with_capacity(program.len() + 4096);
    let mut inode = 0;
    let mut entry = |name: &str, mode: u32, device: (u32, u32), body: &[u8]| -> io::Result<()> {
        inode += 1;
        append(&mut bytes, inode, name, mode, device, body)
    };
    for name in ["dev", "proc", "sys", "tmp"] {
        entry(name, DIRECTORY, (0, 0), &[])?;
    }
    entry("dev/console", CHARACTER_DEVICE, (5, 1), &[])?;
    entry("init", PROGRAM, (0, 0), &program)?;
    entry("TRAILER!!!", 0, (0, 0), &[])?;
    fs::write(archive, bytes)
}

fn append(
    to: &mut Vec<u8>,
    inode: u32,
    name: &str,
    mode: u32,
    device: (u32, u32),
    body: &[u8],
) -> io::Result<()> {
    let too_large = |_| io::Error::other("too large for an initramfs");
    let size = u32::try_from(body.len()).map_err(too_large)?;
    let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
    // inode, mode, uid, gid, links, time, size, device of the file, device it is, name, checksum
    let fields = [
        inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0,
    ];
    to.extend(b"070701");
    for field in fields {
        to.extend(format!("{field:08x}").bytes());
    }
    to.extend(name.bytes());
    to.push(0);
    pad(to);
    to.extend(body);
    pad(to);
    Ok(())
}

fn pad(to: &mut Vec<u8>) {
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_head_of_110_bytes_a_name_and_a_body_padded_to_four() {
        let mut bytes = Vec::new();
        append(&mut bytes, 1, "init", PROGRAM, (0, 0), b"hello").expect("small");
        let head = "070701000000010000".to_owned() + "81ed";
        assert!(bytes.starts_with(head.as_bytes()));
        assert_eq!(&bytes[54..62], b"00000005");
        assert_eq!(&bytes[94..102], b"00000005");
        assert_eq!(&bytes[110..115], b"init\0");
        assert_eq!(&bytes[116..121], b"hello");
        assert_eq!(bytes.len(), 124);
    }
}
