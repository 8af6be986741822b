-- Prosody in a host of the lab. @NAMES@ are filled in by prosody.go.
run_as_root = true
daemonize = false
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
plugin_paths = { "@DIR@/plugins" }
log = { @LEVEL@ = "*console" }
interfaces = { @ADDRS@ }
use_ipv6 = false
c2s_ports = { @PLAIN@ }
c2s_direct_tls_ports = { @TLS@ }
s2s_ports = {}
proxy65_ports = { @PROXYPORT@ }
proxy65_interfaces = { @ADDRS@ }
http_ports = {}
https_ports = {}
authentication = "internal_plain" -- SCRAM on the wire, plain in the file
storage = "internal"
default_archive_policy = true
archive_expires_after = "1d"
c2s_require_encryption = true
allow_registration = false
modules_enabled = { @MODULES@ }
modules_disabled = { "s2s", "s2s_auth_certs" }
certificates = "@DIR@"
ssl = { certificate = "@DIR@/cert.pem"; key = "@DIR@/key.pem"; }
c2s_direct_tls_ssl = { certificate = "@DIR@/cert.pem"; key = "@DIR@/key.pem"; }
@EXTRA@

VirtualHost "@DOMAIN@"

Component "@ROOMS@" "muc"
	modules_enabled = { "muc_mam", "lab_forget" }

Component "@PROXY@" "proxy65"
	proxy65_address = "@LAN@"
