//! The application that a well-known port stands for, until the payload was seen.

use mesoscope_capture::Protocol;

/// Name of the application usually served at `port`, or `None`.
///
/// Source: IANA's service name registry, and what common software listens on by default.
#[must_use]
pub fn application(protocol: Protocol, port: u16) -> Option<&'static str> {
    let name = match (protocol, port) {
        (_, 53 | 5353) => "dns",
        (Protocol::Udp, 67 | 68) => "dhcp",
        (Protocol::Udp, 123) => "ntp",
        (Protocol::Udp, 161 | 162) => "snmp",
        (_, 514) => "syslog",
        (Protocol::Udp, 4789) => "vxlan",
        (Protocol::Udp, 8125) => "statsd",
        (Protocol::Udp, 443) => "quic",
        (Protocol::Udp, _) => return None,
        (_, 20 | 21) => "ftp",
        (_, 22) => "ssh",
        (_, 25 | 465 | 587) => "smtp",
        (_, 80 | 8000 | 8080) => "http",
        (_, 88) => "kerberos",
        (_, 110 | 995) => "pop3",
        (_, 143 | 993) => "imap",
        (_, 179) => "bgp",
        (_, 389 | 636) => "ldap",
        (_, 443 | 6443 | 8443) => "tls",
        (_, 1433) => "mssql",
        (_, 1521) => "oracle",
        (_, 1883 | 8883) => "mqtt",
        (_, 2049) => "nfs",
        (_, 2181) => "zookeeper",
        (_, 2375 | 2376) => "docker",
        (_, 2379 | 2380) => "etcd",
        (_, 3306) => "mysql",
        (_, 3389) => "rdp",
        (_, 4040) => "mesoscope",
        (_, 4041) => "grpc",
        (_, 4222) => "nats",
        (_, 5050 | 5051) => "mesos",
        (_, 5432) => "postgresql",
        (_, 5672 | 5671) => "amqp",
        (_, 6379) => "redis",
        (_, 8086) => "influxdb",
        (_, 8300..=8302) => "consul",
        (_, 8500) => "consul",
        (_, 9042) => "cassandra",
        (_, 9090) => "prometheus",
        (_, 9092) => "kafka",
        (_, 9200 | 9300) => "elasticsearch",
        (_, 11211) => "memcached",
        (_, 27017) => "mongodb",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_means_what_its_protocol_says() {
        assert_eq!(application(Protocol::Tcp, 443), Some("tls"));
        assert_eq!(application(Protocol::Udp, 443), Some("quic"));
        assert_eq!(application(Protocol::Udp, 5432), None);
    }
}
