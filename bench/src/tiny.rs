//! The smallest program there is: a static executable of one system call, `exit(0)`. It makes a
//! spawn as cheap as it can be, so that the observer's share is as dear as it can be.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const LOAD_ADDRESS: u64 = 0x40_0000;
const HEADERS_BYTES: u64 = 64 + 56;

/// Writes the program for this machine's architecture to `path`.
pub fn write(path: &Path) -> Result<()> {
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov eax, 60; xor edi, edi; syscall
        "x86_64" => (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]),
        // mov x8, 93; mov x0, 0; svc 0
        "aarch64" => (
            183,
            &[
                0xa8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
            ],
        ),
        other => bail!("no one-syscall program is written for {other} yet"),
    };
    std::fs::write(path, image(machine, code)?)
        .with_context(|| format!("writing {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// ELF64: the file header, one program header, the code. See elf(5).
fn image(machine: u16, code: &[u8]) -> Result<Vec<u8>> {
    let size = HEADERS_BYTES + u64::try_from(code.len())?;
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2_u16, machine] {
        out.extend(half.to_le_bytes());
    }
    out.extend(1_u32.to_le_bytes());
    // Entry, program headers, section headers.
    for long in [LOAD_ADDRESS + HEADERS_BYTES, 64, 0] {
        out.extend(long.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    for word in [1_u32, 5] {
        out.extend(word.to_le_bytes());
    }
    for long in [0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x1000] {
        out.extend(long.to_le_bytes());
    }
    out.extend(code);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs_and_exits_with_zero() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("tiny");
        super::write(&path).expect("the program is written");
        let status = std::process::Command::new(&path)
            .status()
            .expect("it starts");
        assert_eq!(status.code(), Some(0));
    }
}
