//! A peer on "another host": a TCP stack in user space behind a TUN device, so that this kernel
//! sees only packets from outside and owns none of the peer's sockets. Runs in a network namespace
//! of its own, where it also starts the server that it connects to.

use super::number;
use super::truth::{Truth, now};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Medium, TunTapInterface, wait};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration as Pause, Instant as Moment};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const DEVICE: &str = "remote0";
/// RFC 2544: addresses for benchmarks, which nobody routes.
const OURS: &str = "198.18.0.1/24";
const SERVER: (Ipv4Address, u16) = (Ipv4Address::new(198, 18, 0, 1), 7100);
const PEER: Ipv4Address = Ipv4Address::new(198, 18, 0, 2);
const FIRST_PORT: u16 = 20_000;

/// Opens `count` connections, `gap` milliseconds apart, and keeps all of them open for `hold`
/// milliseconds after the last.
pub fn run(count: &str, gap: &str, hold: &str, truth: &str) -> Result<()> {
    let count: u16 = number(count, "COUNT")?;
    let gap = Duration::from_millis(number(gap, "GAP")?);
    let hold = Duration::from_millis(number(hold, "HOLD")?);
    let mut peer = Peer::start(truth)?;
    let mut told = Truth::open(truth)?;
    peer.poll_for(Duration::from_secs(2))?;
    for index in 0..count {
        let begun = now();
        let handle = peer.connect(FIRST_PORT + index)?;
        told.tell(&format!("inbound {index} {} {begun}", peer.server.id()))?;
        peer.poll_for(gap)?;
        if !peer.sockets.get::<tcp::Socket>(handle).may_send() {
            return Err(Error::other(format!(
                "connection {index} was not established within {gap:?}"
            )));
        }
    }
    peer.poll_for(hold)
}

struct Peer {
    device: TunTapInterface,
    interface: Interface,
    sockets: SocketSet<'static>,
    server: Child,
}

impl Peer {
    fn start(truth: &str) -> Result<Self> {
        let mut device = TunTapInterface::new(DEVICE, Medium::Ip)?;
        for arguments in [
            ["link", "set", "lo", "up"].as_slice(),
            &["address", "add", OURS, "dev", DEVICE],
            &["link", "set", DEVICE, "up"],
        ] {
            if !Command::new("ip").args(arguments).status()?.success() {
                return Err(Error::other(format!("ip {} failed", arguments.join(" "))));
            }
        }
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut device, Moment::now());
        interface.update_ip_addrs(|addresses| {
            // There is room for two.
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(PEER), 24));
        });
        let server = Command::new(std::env::current_exe()?)
            .args(["serve", truth, &format!("{}:{}", SERVER.0, SERVER.1)])
            .spawn()?;
        Ok(Self {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            server,
        })
    }

    fn connect(&mut self, local_port: u16) -> Result<SocketHandle> {
        let buffer = || tcp::SocketBuffer::new(vec![0; 1024]);
        let handle = self.sockets.add(tcp::Socket::new(buffer(), buffer()));
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        socket
            .connect(self.interface.context(), SERVER, local_port)
            .map_err(Error::other)?;
        Ok(handle)
    }

    fn poll_for(&mut self, duration: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < duration {
            self.interface
                .poll(Moment::now(), &mut self.device, &mut self.sockets);
            wait(self.device.as_raw_fd(), Some(Pause::from_millis(1)))?;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
