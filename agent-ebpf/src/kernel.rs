//! Reading the running kernel's structures through offsets that the agent took from its BTF.
//!
//! The offsets are frozen before the programs load, so the verifier knows them as constants and
//! checks every load against the type of the pointer; branches on absent fields are dead code.

use mesoscope_events::settings::{ABSENT, MODE_CGROUP_V1, Modes, Offsets};

#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::ZERO;
#[unsafe(no_mangle)]
static MODES: Modes = Modes::ZERO;

/// The offset of one field: `offset!(task_tgid)`.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a plain read of a static; volatile, so that the value injected at load is used
        // and not the zero that is compiled in.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::offsets().$field) }
    };
}
pub(crate) use offset;

#[inline(always)]
pub fn offsets() -> &'static Offsets {
    &OFFSETS
}

#[inline(always)]
pub fn mode(flag: u32) -> bool {
    // SAFETY: as in `offset!`.
    unsafe { core::ptr::read_volatile(&raw const MODES.flags) & flag != 0 }
}

#[inline(always)]
pub fn hierarchy() -> u32 {
    // SAFETY: as in `offset!`.
    unsafe { core::ptr::read_volatile(&raw const MODES.hierarchy) }
}

#[inline(always)]
pub fn wake_bytes() -> u64 {
    // SAFETY: as in `offset!`.
    u64::from(unsafe { core::ptr::read_volatile(&raw const MODES.wake_bytes) })
}

/// A pointer to a kernel structure whose type the verifier tracks.
#[derive(Clone, Copy)]
pub struct Object(*const u8);

impl Object {
    #[inline(always)]
    pub fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub fn as_ptr(self) -> *const u8 {
        self.0
    }

    /// The value of a field.
    #[inline(always)]
    pub fn get<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier refuses the program unless `offset` is inside the structure that this
        // points to; a stale or null pointer reads as zero, by the kernel's exception table.
        unsafe { core::ptr::read_volatile(self.0.add(offset as usize).cast::<T>()) }
    }

    /// The value of a field, or `missing` where this kernel has no such field.
    #[inline(always)]
    pub fn get_or<T: Copy>(self, offset: u32, missing: T) -> T {
        if offset == ABSENT {
            missing
        } else {
            self.get(offset)
        }
    }

    /// The structure that a field points to.
    #[inline(always)]
    pub fn follow(self, offset: u32) -> Self {
        Self(self.get(offset))
    }
}

/// Cgroup that a task is accounted to.
#[inline(always)]
pub fn cgroup_of_task(task: Object) -> u64 {
    let set = task.follow(offset!(task_cgroups));
    let cgroup = if mode(MODE_CGROUP_V1) {
        // SAFETY: as in `offset!`.
        let memory = unsafe { core::ptr::read_volatile(&raw const MODES.css_set_memory) };
        set.follow(memory).follow(offset!(css_cgroup))
    } else {
        set.follow(offset!(css_set_default))
    };
    cgroup_id(cgroup)
}

/// Inode of a cgroup's directory.
#[inline(always)]
pub fn cgroup_id(cgroup: Object) -> u64 {
    cgroup.follow(offset!(cgroup_kn)).get(offset!(kn_id))
}

/// CLOCK_BOOTTIME at which the task's process started.
#[inline(always)]
pub fn start_of(task: Object) -> u64 {
    task.follow(offset!(task_group_leader))
        .get(offset!(task_start_boottime))
}

/// Inode of the network namespace of a task; 0 for one that has left its namespaces.
#[inline(always)]
pub fn netns_of_task(task: Object) -> u32 {
    let namespaces = task.follow(offset!(task_nsproxy));
    if namespaces.is_null() {
        return 0;
    }
    namespaces
        .follow(offset!(nsproxy_net))
        .get(offset!(net_inum))
}

/// The bytes of a field of a program's context, which allows loads of whole words only.
///
/// # Safety
/// `field` is in the context of the running program.
#[inline(always)]
pub unsafe fn words(field: *const [u32; 4]) -> [u8; 16] {
    let word = |index: usize| {
        // SAFETY: inside of the field.
        unsafe { core::ptr::read_volatile(field.cast::<u32>().add(index)) }.to_ne_bytes()
    };
    let (a, b, c, d) = (word(0), word(1), word(2), word(3));
    [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2],
        d[3],
    ]
}
