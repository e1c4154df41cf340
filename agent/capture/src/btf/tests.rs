use proptest::prelude::*;

use super::*;

/// Type information with `struct outer { int a; union { struct inner in; }; }` and
/// `struct inner { long x; int y; }`.
fn sample() -> Vec<u8> {
    let mut strings = vec![0u8];
    let mut name = |text: &str| {
        let at = u32::try_from(strings.len()).expect("short");
        strings.extend(text.as_bytes());
        strings.push(0);
        at
    };
    let (task, cred, uid, val, tgid, cgroup_ids, memory) = (
        name("task_struct"),
        name("cred"),
        name("uid"),
        name("val"),
        name("tgid"),
        name("cgroup_subsys_id"),
        name("memory_cgrp_id"),
    );
    let trace = name("btf_trace_sched_process_exit");
    let mut types: Vec<u8> = Vec::new();
    let mut words = |list: &[u32]| {
        list.iter()
            .for_each(|word| types.extend(word.to_ne_bytes()))
    };
    let structure = |members: u32| 4 << 24 | members;
    words(&[0, 1 << 24, 4, 32]); // 1: int
    words(&[0, structure(1), 4, val, 1, 0]); // 2: struct { int val }
    words(&[cred, structure(1), 8, uid, 2, 32]); // 3: struct cred { .. uid at 4 }
    words(&[0, 5 << 24 | 1, 8, tgid, 1, 0]); // 4: union { int tgid }
    words(&[task, structure(1), 16, 0, 4, 64]); // 5: struct task_struct { union at 8 }
    words(&[cgroup_ids, 6 << 24 | 1, 4, memory, 4]); // 6: enum
    words(&[0, 13 << 24 | 3, 0, 0, 1, 0, 1, 0, 1]); // 7: void (int, int, int)
    words(&[0, 2 << 24, 7]); // 8: pointer to it
    words(&[trace, 8 << 24, 8]); // 9: typedef of it
    let mut file: Vec<u8> = Vec::new();
    file.extend(0xeb9fu16.to_ne_bytes());
    file.extend([1, 0]);
    let (type_len, string_len) = (
        u32::try_from(types.len()).expect("short"),
        u32::try_from(strings.len()).expect("short"),
    );
    for word in [24, 0, type_len, type_len, string_len] {
        file.extend(word.to_ne_bytes());
    }
    file.extend(types);
    file.extend(strings);
    file
}

#[test]
fn dotted_paths_anonymous_members_enums_and_tracepoints_are_found() {
    let types = KernelTypes::parse(&sample()).expect("well formed");
    assert_eq!(types.offset("cred", "uid.val"), Some(4));
    assert_eq!(types.offset("task_struct", "tgid"), Some(8));
    assert_eq!(types.offset("task_struct", "nothing"), None);
    assert_eq!(types.offset("nothing", "tgid"), None);
    assert_eq!(
        types.enum_value("cgroup_subsys_id", "memory_cgrp_id"),
        Some(4)
    );
    assert_eq!(types.tracepoint_arguments("sched_process_exit"), Some(2));
    assert_eq!(types.tracepoint_arguments("nothing"), None);
    let (offsets, missing) = types.offsets();
    assert_eq!(offsets.len(), Offsets::SOURCES.len());
    assert_eq!(offsets.len() * 4, Offsets::SIZE);
    assert_eq!(missing.len(), offsets.len() - 2);
}

#[test]
fn a_cycle_of_types_ends() {
    let mut file = sample();
    // The typedef points to itself.
    let at = 24
        + file[24..]
            .windows(4)
            .rposition(|word| word == (8u32 << 24).to_ne_bytes())
            .expect("typedef")
        + 4;
    file[at..at + 4].copy_from_slice(&9u32.to_ne_bytes());
    assert_eq!(
        KernelTypes::parse(&file)
            .expect("well formed")
            .tracepoint_arguments("sched_process_exit"),
        None
    );
}

#[test]
fn this_kernel_has_every_field() {
    let Ok(types) = KernelTypes::read(std::path::Path::new(crate::programs::VMLINUX_BTF)) else {
        println!("skipped: this kernel has no type information");
        return;
    };
    let (_, missing) = types.offsets();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert!(
        types
            .enum_value("cgroup_subsys_id", "memory_cgrp_id")
            .is_some()
    );
}

proptest! {
    #[test]
    fn whatever_the_bytes_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = KernelTypes::parse(&bytes);
    }

    #[test]
    fn damaged_information_is_refused_or_answers(at in 0usize..400, byte: u8, cut in 0usize..400) {
        let mut file = sample();
        let len = file.len();
        file[at % len] = byte;
        file.truncate(len - cut % len);
        if let Ok(types) = KernelTypes::parse(&file) {
            let _ = types.offsets();
            let _ = types.enum_value("cgroup_subsys_id", "memory_cgrp_id");
            let _ = types.tracepoint_arguments("sched_process_exit");
        }
    }
}
