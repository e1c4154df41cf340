//! Prints what the kernel tells, for ten seconds or as many as given.

use std::time::{Duration, Instant};

fn main() -> Result<(), mesoscope_capture::CaptureError> {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let config = mesoscope_capture::CaptureConfig {
        bpf_statistics: true,
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
