//! Byte offsets of the running kernel's structures, read from its own type information.
//!
//! rustc emits no CO-RE relocations, so the programs take their offsets as constants instead. This
//! reads just enough of the format (`Documentation/bpf/btf.rst`) for that.

use std::{collections::HashMap, path::Path};

use mesoscope_events::settings::{ABSENT, Offsets};

/// Type information of a kernel.
#[derive(Debug)]
pub struct KernelTypes {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where each type begins; index is the id, 0 is void.
    starts: Vec<u32>,
    structures: HashMap<String, u32>,
    typedefs: HashMap<String, u32>,
}

/// Why type information can not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file can not be read.
    #[error("reading {path}: {source} (a kernel built with CONFIG_DEBUG_INFO_BTF has it)")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what the format says.
    #[error("malformed type information: {0}")]
    Malformed(&'static str),
}

const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const FUNC_PROTO: u32 = 13;
const ENUM64: u32 = 19;
/// Deepest nesting of anonymous members and chains of typedefs that is followed.
const DEPTH_MAX: u32 = 32;

struct Type {
    name: u32,
    kind: u32,
    kind_flag: bool,
    members: u32,
    size_or_type: u32,
    body: usize,
}

impl KernelTypes {
    /// Reads the type information of the running kernel (`/sys/kernel/btf/vmlinux`).
    ///
    /// # Errors
    /// When there is none, or it is malformed.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let bytes = std::fs::read(path).map_err(|source| BtfError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&bytes)
    }

    /// Parses type information.
    ///
    /// # Errors
    /// When it is truncated or inconsistent.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        const MAGIC: u16 = 0xeb9f;
        let malformed = BtfError::Malformed;
        if u16_at(bytes, 0) != Some(MAGIC) {
            return Err(malformed("no magic number of this byte order"));
        }
        let word = |at| {
            u32_at(bytes, at)
                .map(|value| value as usize)
                .ok_or(malformed("truncated header"))
        };
        let (header, type_offset, type_len, string_offset, string_len) =
            (word(4)?, word(8)?, word(12)?, word(16)?, word(20)?);
        let section = |offset: usize, len: usize| {
            let start = header.checked_add(offset)?;
            bytes.get(start..start.checked_add(len)?)
        };
        let types = section(type_offset, type_len)
            .ok_or(malformed("types outside of the file"))?
            .to_vec();
        let strings = section(string_offset, string_len)
            .ok_or(malformed("strings outside of the file"))?
            .to_vec();
        let mut this = Self {
            types,
            strings,
            starts: vec![0],
            structures: HashMap::new(),
            typedefs: HashMap::new(),
        };
        let wanted: std::collections::HashSet<&str> = Offsets::SOURCES
            .iter()
            .flat_map(|(_, sources)| sources.iter().map(|(structure, _)| *structure))
            .chain(["cgroup_subsys_id"])
            .collect();
        let mut at = 0usize;
        while at < this.types.len() {
            let entry = this.type_at(at).ok_or(malformed("truncated type"))?;
            let id = u32::try_from(this.starts.len()).map_err(|_| malformed("too many types"))?;
            this.starts
                .push(u32::try_from(at).map_err(|_| malformed("too large"))?);
            if matches!(entry.kind, STRUCT | ENUM | ENUM64 | TYPEDEF) {
                let name = this
                    .string(entry.name)
                    .ok_or(malformed("name outside of the strings"))?;
                if entry.kind == TYPEDEF {
                    if name.starts_with("btf_trace_") {
                        let name = name.to_owned();
                        this.typedefs.insert(name, id);
                    }
                } else if wanted.contains(name) {
                    let name = name.to_owned();
                    this.structures.entry(name).or_insert(id);
                }
            }
            at = entry.body
                + body_len(entry.kind, entry.members).ok_or(malformed("unknown kind of type"))?;
        }
        Ok(this)
    }

    /// All offsets that the programs take, and the names of the fields that this kernel does not have.
    #[must_use]
    pub fn offsets(&self) -> (Vec<u32>, Vec<&'static str>) {
        let mut missing = Vec::new();
        let offsets = Offsets::SOURCES
            .iter()
            .map(|(field, sources)| {
                sources
                    .iter()
                    .find_map(|(structure, path)| self.offset(structure, path))
                    .unwrap_or_else(|| {
                        missing.push(*field);
                        ABSENT
                    })
            })
            .collect();
        (offsets, missing)
    }

    /// Byte offset of a dotted path in a structure; anonymous members are looked into.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let mut id = *self.structures.get(structure)?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let (offset, member) = self.member(self.unmodified(id)?, name, 0)?;
            bits = bits.checked_add(offset)?;
            id = member;
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Value of a constant of the first `enum` of that name.
    #[must_use]
    pub fn enum_value(&self, name: &str, constant: &str) -> Option<u32> {
        let entry = self.by_id(*self.structures.get(name)?)?;
        (0..entry.members as usize).find_map(|index| match entry.kind {
            ENUM => {
                let at = entry.body + index * 8;
                (self.string(self.word(at)?)? == constant)
                    .then(|| self.word(at + 4))
                    .flatten()
            }
            ENUM64 => {
                let at = entry.body + index * 12;
                (self.string(self.word(at)?)? == constant)
                    .then(|| self.word(at + 4))
                    .flatten()
            }
            _ => None,
        })
    }

    /// Arguments of a tracepoint, without the leading context; `None` when the kernel has no such one.
    #[must_use]
    pub fn tracepoint_arguments(&self, name: &str) -> Option<u32> {
        let mut entry = self.by_id(*self.typedefs.get(&format!("btf_trace_{name}"))?)?;
        for _ in 0..DEPTH_MAX {
            if entry.kind == FUNC_PROTO {
                return entry.members.checked_sub(1);
            }
            entry = self.by_id(entry.size_or_type)?;
        }
        None
    }

    /// Finds a member by name: (offset in bits, id of its type).
    fn member(&self, structure: u32, name: &str, depth: u32) -> Option<(u32, u32)> {
        let entry = self.by_id(structure)?;
        if depth > DEPTH_MAX || (entry.kind != STRUCT && entry.kind != UNION) {
            return None;
        }
        for index in 0..entry.members as usize {
            let at = entry.body + index * 12;
            let (member_name, member_type, mut offset) =
                (self.word(at)?, self.word(at + 4)?, self.word(at + 8)?);
            if entry.kind_flag {
                offset &= 0x00ff_ffff;
            }
            let member_name = self.string(member_name)?;
            if member_name == name {
                return Some((offset, member_type));
            }
            if member_name.is_empty()
                && let Some(inner) = self.unmodified(member_type)
                && let Some((inner_offset, found)) = self.member(inner, name, depth + 1)
            {
                return Some((offset.checked_add(inner_offset)?, found));
            }
        }
        None
    }

    /// Looks through typedef, volatile, const, restrict and type tags.
    fn unmodified(&self, mut id: u32) -> Option<u32> {
        for _ in 0..DEPTH_MAX {
            let entry = self.by_id(id)?;
            if !matches!(entry.kind, 8..=11 | 18) {
                return Some(id);
            }
            id = entry.size_or_type;
        }
        None
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        self.type_at(*self.starts.get(id as usize)? as usize)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = self.word(at + 4)?;
        Some(Type {
            name: self.word(at)?,
            kind: (info >> 24) & 0x1f,
            kind_flag: info >> 31 == 1,
            members: info & 0xffff,
            size_or_type: self.word(at + 8)?,
            body: at + 12,
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        u32_at(&self.types, at)
    }

    fn string(&self, at: u32) -> Option<&str> {
        let rest = self.strings.get(at as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }
}

/// Bytes that follow the 12 that all types have.
fn body_len(kind: u32, members: u32) -> Option<usize> {
    let members = members as usize;
    Some(match kind {
        1 | 14 | 17 => 4,                             // int, var, decl_tag
        2 | 7..=12 | 16 | 18 => 0, // pointer, forward, modifiers, func, float, type_tag
        3 => 12,                   // array
        STRUCT | UNION | 15 | ENUM64 => members * 12, // and datasec
        ENUM | FUNC_PROTO => members * 8,
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
