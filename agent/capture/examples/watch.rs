//! Prints what the kernel tells: `watch [SECONDS] [EVENTS PER SECOND OF A CGROUP]`.

use std::time::{Duration, Instant};

fn main() -> Result<(), mesoscope_capture::CaptureError> {
    let argument = |index| {
        std::env::args()
            .nth(index)
            .and_then(|text| text.parse().ok())
    };
    let seconds = argument(1).unwrap_or(10);
    let config = mesoscope_capture::CaptureConfig {
        bpf_statistics: true,
        events_per_second_per_cgroup: argument(2)
            .and_then(|cap| u32::try_from(cap).ok())
            .unwrap_or(60_000),
        ..Default::default()
    };
    let mut capture = mesoscope_capture::Capture::start(&config)?;
    for capability in capture.capabilities() {
        println!("{capability:?}");
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        capture.drain(&mut |event| println!("{event:?}"));
    }
    match capture.sockets() {
        Ok(sockets) => println!("{} sockets, the first {:?}", sockets.len(), sockets.first()),
        Err(error) => println!("{error}"),
    }
    println!("{:#?}", capture.stats());
    Ok(())
}
