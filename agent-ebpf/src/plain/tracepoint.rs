//! Reading the records of classic tracepoints, through offsets that the agent took from their format
//! files.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_probe_read_kernel, generated::bpf_probe_read_kernel_str},
    programs::TracePointContext,
};
use mesoscope_events::settings::{ABSENT, Formats};

use crate::output::bounded;

#[unsafe(no_mangle)]
static FORMATS: Formats = Formats::ZERO;

/// The offset of one field of a tracepoint's record.
macro_rules! format {
    ($field:ident) => {
        // SAFETY: a plain read of a static, volatile as in `offset!`.
        unsafe { core::ptr::read_volatile(&raw const $crate::plain::tracepoint::formats().$field) }
    };
}
pub(super) use format;

#[inline(always)]
pub fn formats() -> &'static Formats {
    &FORMATS
}

/// A field of a tracepoint's record.
#[inline(always)]
pub fn field<T>(ctx: &TracePointContext, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(ctx.as_ptr().cast::<u8>().add(offset as usize).cast::<T>()) }
        .ok()
}

/// Copies the text of a `__data_loc` field; gives its length without the final zero byte.
#[inline(always)]
pub fn text<const SIZE: usize>(ctx: &TracePointContext, offset: u32, to: &mut [u8; SIZE]) -> usize {
    const { assert!(SIZE.is_power_of_two()) }
    let Some(place) = field::<u32>(ctx, offset) else {
        return 0;
    };
    // SAFETY: the helper checks the address; `to` holds `SIZE` bytes.
    let len = unsafe {
        bpf_probe_read_kernel_str(
            to.as_mut_ptr().cast(),
            SIZE as u32,
            ctx.as_ptr()
                .cast::<u8>()
                .add((place & 0xffff) as usize)
                .cast(),
        )
    };
    if len > 0 {
        bounded(len as u64 - 1, SIZE as u64 - 1) as usize
    } else {
        0
    }
}
