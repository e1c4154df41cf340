//! The ring buffer, what it could not take, and the cap on each cgroup's events.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use mesoscope_events::{
    records::{Header, KINDS, Kind},
    settings::{
        RATE_SETS, RATE_WAYS, Rate, Settings, WINDOW_SHIFT, WITHHELD_ENTRIES, WithheldCount,
    },
};

use crate::kernel::wake_bytes;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);
#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(KINDS as u32, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static RATES: Array<[Rate; RATE_WAYS as usize]> = Array::with_max_entries(RATE_SETS, 0);
#[map]
static WITHHELD: HashMap<u64, WithheldCount> = HashMap::with_max_entries(WITHHELD_ENTRIES, 0);

/// What may change while the programs run.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Begins a record: the time, or nothing if the cgroup has used up its events.
#[inline(always)]
pub fn begin(kind: Kind, tgid: u32, cgroup: u64) -> Option<Header> {
    let header = begin_uncapped(kind, tgid);
    admit(cgroup, header.ts).then_some(header)
}

/// Begins a record of a kind that no workload can make in masses.
#[inline(always)]
pub fn begin_uncapped(kind: Kind, tgid: u32) -> Header {
    // SAFETY: reads a clock.
    Header {
        ts: unsafe { bpf_ktime_get_ns() },
        kind: kind as u32,
        tgid,
    }
}

/// Puts a record of fixed size into the ring, or counts it as lost.
#[inline(always)]
pub fn emit<T: Copy + 'static>(kind: Kind, record: T) {
    match EVENTS.reserve::<T>(0) {
        Some(mut entry) => {
            entry.write(record);
            submit(entry);
        }
        None => lost(kind),
    }
}

/// Room for a record that is written in place, or a loss counted.
#[inline(always)]
pub fn reserve<T: 'static>(kind: Kind) -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        lost(kind);
    }
    entry
}

/// Puts bytes into the ring, or counts the record as lost.
#[inline(always)]
pub fn emit_bytes(kind: Kind, bytes: &[u8]) {
    let before = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let wakeup = wakeup(before, before + room(bytes.len()));
    if EVENTS.output::<[u8]>(bytes, wakeup).is_err() {
        lost(kind);
    }
}

/// Hands a reserved record over.
#[inline(always)]
pub fn submit<T: 'static>(entry: RingBufEntry<T>) {
    let after = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    entry.submit(wakeup(after.wrapping_sub(room(size_of::<T>())), after));
}

/// The default wake-up costs the workload 6 µs an event. The consumer has a timer, and is woken only
/// when the ring fills faster than that: by the record that crosses a quarter, a half or three
/// quarters, and by no other, or a burst would pay for a wake-up with every record until the
/// consumer has run.
#[inline(always)]
fn wakeup(bytes_before: u64, bytes_after: u64) -> u64 {
    let quarter = wake_bytes();
    let crosses = |mark: u64| bytes_before < mark && mark <= bytes_after;
    // Not by division: a panic that the compiler can't rule out is a program that can't load.
    if crosses(quarter) || crosses(2 * quarter) || crosses(3 * quarter) {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Bytes that a record takes in the ring: itself, its header (`BPF_RINGBUF_HDR_SZ`), rounded up.
#[inline(always)]
fn room(record_bytes: usize) -> u64 {
    (record_bytes as u64 + 8 + 7) & !7
}

#[inline(always)]
fn lost(kind: Kind) {
    if let Some(counter) = LOST.get_ptr_mut(kind as u32) {
        add(counter, 1);
    }
}

/// Adds, exact although an interrupt or another CPU may do so too.
#[inline(always)]
pub fn add(counter: *mut u64, amount: u64) {
    // SAFETY: a pointer into a map, aligned and alive. `core` has no atomics for this target.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {amount}", counter = in(reg) counter, amount = in(reg) amount, options(nostack));
    }
}

/// `value`, which is at most `mask`, in a form whose bounds the verifier of every kernel sees: it does
/// not carry them from the register that was compared to another, but it understands a mask.
#[inline(always)]
pub fn bounded(mut value: u64, mask: u64) -> u64 {
    // SAFETY: does nothing, but keeps the compiler from proving the mask away. An instruction and not
    // only a comment: the line information may name each offset once.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(nomem, nostack, preserves_flags)) }
    value & mask
}

/// Whether the cgroup may emit one more event in this window. The count is taken without a lock:
/// two CPUs may let a few more through. What is withheld is counted exactly.
#[inline(always)]
fn admit(cgroup: u64, now: u64) -> bool {
    let Some(settings) = settings() else {
        return true;
    };
    let cap = settings.cap_per_window;
    if cap == 0 {
        return true;
    }
    let Some(set) = RATES.get_ptr_mut(cgroup as u32 % RATE_SETS) else {
        return true;
    };
    // SAFETY: a pointer into a map value of this type.
    let set = unsafe { &mut *set };
    let window = now >> WINDOW_SHIFT;
    let mut free = (cgroup >> 8) as usize % RATE_WAYS as usize;
    for way in 0..RATE_WAYS as usize {
        let slot = &mut set[way];
        if slot.cgroup == cgroup {
            if slot.window != window {
                slot.window = window;
                slot.count = 1;
                return true;
            }
            slot.count += 1;
            if slot.count <= cap {
                return true;
            }
            withhold(cgroup, now);
            return false;
        }
        if slot.window != window {
            free = way;
        }
    }
    set[free % RATE_WAYS as usize] = Rate {
        cgroup,
        window,
        count: 1,
    };
    true
}

#[inline(never)]
fn withhold(cgroup: u64, now: u64) {
    if count_withheld(cgroup, now) {
        return;
    }
    let first = WithheldCount {
        count: 1,
        last: now,
    };
    if WITHHELD
        .insert(cgroup, first, u64::from(BPF_NOEXIST))
        .is_err()
        && !count_withheld(cgroup, now)
    {
        // Full: the agent made entry 0 for this before the programs loaded.
        count_withheld(0, now);
    }
}

#[inline(always)]
fn count_withheld(cgroup: u64, now: u64) -> bool {
    let Some(entry) = WITHHELD.get_ptr_mut(cgroup) else {
        return false;
    };
    // SAFETY: a pointer into a map value of this type; entries are never removed while programs run.
    unsafe {
        add(&raw mut (*entry).count, 1);
        (*entry).last = now;
    }
    true
}
